// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// selecting creates a template of claims for a GPU with a selector of n x n additions. It
// reads an attribute that differs in every device. Templates of different names have
// different selectors.
func (e *env) selecting(name string, n int) {
	e.Helper()
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}}
	template.Spec.Spec.Devices.Requests = []resourceapi.DeviceRequest{{Name: "gpu", Exactly: &resourceapi.ExactDeviceRequest{
		DeviceClassName: fleet.ClassGPU, Count: 1,
		Selectors: []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{Expression: fmt.Sprintf(
			`!%s.exists(x, %s.exists(y, x + y == 5)) && device.attributes["gpu.nvidia.com"].uuid != %q`, list, list, name)}}},
	}}}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim template %s: %v", name, err)
	}
}

// Pods of one namespace have costly selectors, a different one each. A gang of another
// namespace is placed meanwhile. The pod with a selector beyond the limit is told so. The
// others, whose selectors are within the limit, wait for the budget of their namespace, and
// run in the end.
func TestNamespacesCompeteWithSelectors(t *testing.T) {
	mean := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=ndh100v5,spines=1,leaves=1,nodes=4")},
		Without: withoutOthers,
	})
	victim := newEnv(t, mean.Cluster, harness.Options{LeaveNamespace: true})
	mean.selecting("bomb", 300)
	mean.createPods(newPod("bomb", withTemplates("bomb")))
	// 32 GPUs at 4700 units for each selector: the budget is enough for 13 of them.
	const heavy = 18
	for i := range heavy {
		name := fmt.Sprintf("heavy-%d", i)
		mean.selecting(name, 24)
		pod := newPod(name, withTemplates(name))
		pod.Labels = map[string]string{"cost": "heavy"}
		mean.createPods(pod)
	}
	victim.deviceTemplate("pair", map[string]int64{fleet.ClassGPU: 1, fleet.ClassRDMA: 1})
	victim.podGroup("gang", 4, nil)
	victim.createPods(members("gang", 4, withTemplate("pair"))...)
	victim.Whole(groupLabel+"=gang", 4)
	mean.Eventually("the pod with the costly selector is told why it waits", func() bool {
		pods := mean.Pods("")
		for i := range pods {
			if pods[i].Name == "bomb" {
				return containsSentence(&pods[i], "request gpu: selector 0 costs more than 5000 CEL cost units on a device")
			}
		}
		return false
	})
	mean.Whole("cost=heavy", heavy)
}
