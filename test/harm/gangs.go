// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// gangs creates n pods in gangs with this number of members.
func (a *attacker) gangs(n, members, minimum int, options ...podOption) {
	a.pods(n, func(i int) *corev1.Pod {
		in := inGang(fmt.Sprintf("g%d", i/members), minimum)
		return a.pod(fmt.Sprintf("p%d", i), append([]podOption{in}, options...)...)
	})
}

// incompleteGangs has gangs of 100 pods that wait for a member which nobody creates.
func incompleteGangs(a *attacker) { a.gangs(3*a.size, 100, 101) }

// impossibleGangs has gangs of 50 members that fit on no node.
func impossibleGangs(a *attacker) { a.gangs(a.size, 50, 50, impossible) }

// wholeClusterGangs has gangs that need an empty node for each member, and more nodes than the
// attacker may use. They tolerate the taint of the victim's nodes, on which there is less room.
func wholeClusterGangs(a *attacker) {
	members := attackerFleet.Size() + victimFleet.Size()
	a.gangs(a.size/members*members, members, members, requesting(corev1.ResourceCPU, "90"), tolerant)
}

// enormousMinimums has gangs with minimums up to and above the largest number.
func enormousMinimums(a *attacker) {
	minimums := []string{"2147483647", "9223372036854775807", "99999999999999999999", "-1", "1e9"}
	a.pods(a.size, func(i int) *corev1.Pod {
		minimum := map[string]string{"dovetail.dev/gang-min": minimums[i%len(minimums)]}
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/10), 0), annotated(minimum))
	})
	a.each(20, func(i int) error { return a.createPodGroup(fmt.Sprintf("pg%d", i), 2147483647) })
	a.pods(a.size, func(i int) *corev1.Pod { return a.pod(fmt.Sprintf("q%d", i), inPodGroup(fmt.Sprintf("pg%d", i%20))) })
}

// differingMembers has gangs in which no member is like another, and members may not share
// nodes or racks. No plan exists.
func differingMembers(a *attacker) {
	members := min(a.size, 200)
	a.pods(a.size/members*members, func(i int) *corev1.Pod {
		gang := fmt.Sprintf("g%d", i/members)
		apart := corev1.PodAffinityTerm{
			TopologyKey: corev1.LabelHostname,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
				"dovetail.dev/gang-name": gang, "part": fmt.Sprint(i % 5),
			}},
		}
		return a.pod(fmt.Sprintf("p%d", i), inGang(gang, members), requesting(corev1.ResourceMemory, fmt.Sprintf("%dMi", i%members+1)),
			func(pod *corev1.Pod) {
				pod.Labels["part"] = fmt.Sprint(i % 5)
				pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
					RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{apart},
				}}
			})
	})
}

// churnedGangs creates and deletes gangs of four.
func churnedGangs(a *attacker) {
	a.repeat(writers, 0, func(i, round int) error {
		gang := fmt.Sprintf("g%d-%d", i, round)
		for m := range 4 {
			if err := a.create(a.pod(fmt.Sprintf("%s-%d", gang, m), inGang(gang, 4))); err != nil {
				return err
			}
		}
		for m := range 4 {
			if err := a.remove(fmt.Sprintf("%s-%d", gang, m)); err != nil {
				return err
			}
		}
		return nil
	})
}

// inPodGroup makes the pod a member of a PodGroup of the scheduler-plugins API.
func inPodGroup(name string) podOption {
	return func(pod *corev1.Pod) { pod.Labels["scheduling.x-k8s.io/pod-group"] = name }
}

func (a *attacker) createPodGroup(name string, minimum int64) error {
	group := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": podGroups.GroupVersion().String(), "kind": "PodGroup", "spec": map[string]any{"minMember": minimum},
	}}
	group.SetName(name)
	_, err := a.dynamic.Resource(podGroups).Namespace(a.namespace).Create(a.ctx, group, metav1.CreateOptions{})
	return err
}

// changingPodGroups changes the minimums of 20 PodGroups, whose pods fit on no node, ten times
// a second.
func changingPodGroups(a *attacker) {
	const groups = 20
	a.each(groups, func(i int) error { return a.createPodGroup(fmt.Sprintf("pg%d", i), 10) })
	a.pods(a.size/2, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inPodGroup(fmt.Sprintf("pg%d", i%groups)), impossible)
	})
	a.repeat(groups, 100*time.Millisecond, func(i, round int) error {
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"minMember": 2 + round%5}})
		if err != nil {
			return err
		}
		_, err = a.dynamic.Resource(podGroups).Namespace(a.namespace).
			Patch(a.ctx, fmt.Sprintf("pg%d", i), types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

// namesakes has incomplete gangs with the names of the victim's gangs, and pods that name them
// with their namespace.
func namesakes(a *attacker) {
	a.pods(a.size, func(i int) *corev1.Pod {
		gang := gangName(i / 4)
		return a.pod(fmt.Sprintf("%s-%d", gang, i%4), inGang(gang, 100), func(pod *corev1.Pod) {
			if i%4 == 3 {
				pod.Labels["scheduling.x-k8s.io/pod-group"] = gang
				pod.Annotations["scheduling.k8s.io/group-name"] = a.victim + "/" + gang
				pod.Annotations["dovetail.dev/gang-name"] = a.victim + "/" + gang
			}
		})
	})
}
