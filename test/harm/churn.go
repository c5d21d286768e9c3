// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// churnedPods creates and deletes pods as fast as the API server can.
func churnedPods(a *attacker) {
	a.repeat(writers, 0, func(i, round int) error {
		name := fmt.Sprintf("p%d-%d", i, round)
		if err := a.create(a.pod(name)); err != nil {
			return err
		}
		return a.remove(name)
	})
}

// gate is the name of a scheduling gate.
const gate = "example.com/gate"

// churnedGates removes the gates of members of gangs that fit on no node, and replaces the
// pods, because a gate cannot be added again.
func churnedGates(a *attacker) {
	patch := []byte(`{"spec": {"schedulingGates": null}}`)
	a.repeat(writers, 0, func(i, round int) error {
		name := fmt.Sprintf("p%d-%d", i, round)
		pod := a.pod(name, inGang(fmt.Sprintf("g%d", i), 2), impossible)
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: gate}}
		if err := a.create(pod); err != nil {
			return err
		}
		if _, err := a.client.CoreV1().Pods(a.namespace).Patch(a.ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
		if round < 10 {
			return nil
		}
		return a.remove(fmt.Sprintf("p%d-%d", i, round-10))
	})
}

// changingPods changes labels and annotations of pending gang members all the time.
func changingPods(a *attacker) {
	n := a.size / 2
	a.gangs(n, 10, 10, impossible)
	a.repeat(writers, 5*time.Millisecond, func(i, round int) error {
		value := fmt.Sprint(round)
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"labels": map[string]string{"round": value}, "annotations": map[string]string{"dovetail.dev/topology-preferred": value},
		}})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("p%d", (i+round*writers)%n)
		_, err = a.client.CoreV1().Pods(a.namespace).Patch(a.ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}
