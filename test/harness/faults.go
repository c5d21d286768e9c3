// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// KillAfter kills the scheduler as soon as n of the pods that match are bound, and closes the
// channel when it is dead.
func (e *Env) KillAfter(n int, selector string) <-chan struct{} {
	e.Helper()
	watch, err := e.Client.CoreV1().Pods(e.Namespace).Watch(e.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("watching pods: %v", err)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		defer watch.Stop()
		bound := map[string]bool{}
		for event := range watch.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
				bound[pod.Name] = true
			}
			if len(bound) >= n {
				break
			}
		}
		if err := e.Cluster.Kill(localcluster.Dovetail); err != nil {
			e.Errorf("killing the scheduler: %v", err)
		}
	}()
	return dead
}

// SlowConfig returns the shipped configuration with a client that makes so many requests a
// second, so that there is a middle of a gang's bindings.
func SlowConfig(qps int) ([]byte, error) {
	fast := string(manifests.SchedulerConfig)
	if !strings.Contains(fast, "qps: 1000") || !strings.Contains(fast, "burst: 2000") {
		return nil, errors.New("the shipped configuration does not set qps and burst as the tests expect")
	}
	return []byte(strings.NewReplacer("qps: 1000", fmt.Sprintf("qps: %d", qps), "burst: 2000", "burst: 1").Replace(fast)), nil
}

// Cordon closes a node to new pods, or opens it again.
func (e *Env) Cordon(node string, closed bool) {
	e.Helper()
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, closed)
	_, err := e.Client.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		e.Errorf("cordoning node %s: %v", node, err)
	}
}
