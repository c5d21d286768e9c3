// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"testing"
	"time"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// A claim was given back, and the informer shows it. A plan that fails then must not bring the
// former devices back.
func TestUnreservedClaimKeepsWhatWasWritten(t *testing.T) {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.DRAWorkloadResourceClaims: true,
	})
	left := holding("left", "gpu-0")
	left.Spec = claim("left", "1 gpu.nvidia.com").Spec
	left.ResourceVersion = "1"
	w := newWorld(t, oneNode, left)
	p := w.ours()
	p.(fwk.PodGroupPostFilterPlugin).PodGroupPostFilter(context.Background(), framework.NewCycleState(), groupOf("train", left), nil)
	published := w.handle.factory.Resource().V1().ResourceClaims().Lister().ResourceClaims("ml")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if c, err := published.Get("left"); err == nil && c.Status.Allocation == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the informer does not show the claim without devices")
		}
	}
	time.Sleep(50 * time.Millisecond) // the claim tracker hears of it after the lister

	trip := w.trip(p, podWith("train-0", left))
	if !trip.place() {
		t.Fatalf("the pod is not placed: %v", trip.said)
	}
	trip.leave()
	got, err := w.handle.manager.ResourceClaims().Get("ml", "left")
	if err != nil || got.Status.Allocation != nil {
		t.Errorf("the tracker shows the claim with the devices that were given back: %v, %v", got, err)
	}
}
