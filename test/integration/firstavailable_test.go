// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// alternative is a subrequest: so many devices of a class.
type alternative struct {
	class string
	count int64
}

// firstAvailable creates a claim template with a request for each list of alternatives.
func (e *env) firstAvailable(name string, requests ...[]alternative) {
	e.Helper()
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i, alternatives := range requests {
		request := resourceapi.DeviceRequest{Name: fmt.Sprintf("devices-%d", i)}
		for k, a := range alternatives {
			request.FirstAvailable = append(request.FirstAvailable, resourceapi.DeviceSubRequest{
				Name: fmt.Sprintf("choice-%d", k), DeviceClassName: a.class, Count: a.count,
			})
		}
		template.Spec.Spec.Devices.Requests = append(template.Spec.Spec.Devices.Requests, request)
	}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim template %s: %v", name, err)
	}
}

// numbersOf returns the numbers of devices that the members of a group hold, sorted.
func (e *env) numbersOf(pods []*corev1.Pod) []int {
	e.Helper()
	var out []int
	for _, pod := range pods {
		out = append(out, len(e.devicesOf(pod.Name)))
	}
	slices.Sort(out)
	return out
}

// runAndRemove creates a gang whose members have these numbers of devices once they are bound, and
// removes it.
func (e *env) runAndRemove(group string, want []int, pods ...*corev1.Pod) {
	e.Helper()
	e.podGroup(group, int64(len(pods)), nil)
	e.createPods(pods...)
	e.Whole(groupLabel+"="+group, len(pods))
	if got := e.numbersOf(pods); !slices.Equal(got, want) {
		e.Errorf("members of gang %s have %v devices, want %v", group, got, want)
	}
	e.RemovePods(groupLabel + "=" + group)
}

// The allocator alone would give the first member of each gang the most devices.
func TestMembersShareWhatTheyWouldTakeAlone(t *testing.T) {
	e := onGPUs(t)
	e.keepOpen(2)
	gpus := []alternative{{fleet.ClassGPU, 8}, {fleet.ClassGPU, 4}}
	e.firstAvailable("gpus", gpus)
	e.runAndRemove("two", []int{8, 8}, members("two", 2, withTemplate("gpus"))...)
	e.runAndRemove("three", []int{4, 4, 8}, members("three", 3, withTemplate("gpus"))...)
	e.runAndRemove("four", []int{4, 4, 4, 4}, members("four", 4, withTemplate("gpus"))...)

	// Two requests with alternatives each.
	e.firstAvailable("pairs", gpus, []alternative{{fleet.ClassRDMA, 8}, {fleet.ClassRDMA, 4}})
	e.runAndRemove("pairs", []int{8, 8, 8, 8}, members("pairs", 4, withTemplate("pairs"))...)

	// A device of one of two drivers. Two fellow members need all GPUs.
	e.firstAvailable("either", []alternative{{fleet.ClassGPU, 1}, {fleet.ClassRDMA, 1}})
	e.deviceTemplate("all", map[string]int64{fleet.ClassGPU: 8})
	mixed := members("mixed", 4, withTemplate("either"))
	withTemplate("all")(mixed[2])
	withTemplate("all")(mixed[3])
	e.runAndRemove("mixed", []int{1, 1, 8, 8}, mixed...)

	e.podGroup("five", 5, nil)
	e.createPods(members("five", 5, withTemplate("gpus"))...)
	e.Refused(groupLabel+"=five", 5, "4 of 5 members fit the fabric")
	e.Refused(groupLabel+"=five", 5, "members with alternatives (firstAvailable) counted with 4 of class "+fleet.ClassGPU)
}
