// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
)

// Another scheduler allocates a device between Reserve and PreBind of a pod. The pod is not
// bound, says why and gives its devices back, unless the device may be in several claims. A
// claim that is also reserved for others keeps its devices.
func TestDeviceAllocatedTwice(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*resourceapi.DeviceRequestAllocationResult)
		twice  bool
		group  string
	}{
		"a device":              {func(*resourceapi.DeviceRequestAllocationResult) {}, true, ""},
		"a claim of a PodGroup": {func(*resourceapi.DeviceRequestAllocationResult) {}, true, "group-train"},
		"admin access":          {func(r *resourceapi.DeviceRequestAllocationResult) { r.AdminAccess = ptr.To(true) }, false, ""},
		"a shared one":          {func(r *resourceapi.DeviceRequestAllocationResult) { r.ShareID = ptr.To(types.UID("share")) }, false, ""},
		"another device":        {func(r *resourceapi.DeviceRequestAllocationResult) { r.Device = "gpu-7" }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := claim("ours", "1 gpu.nvidia.com"), claim("theirs", "1 gpu.nvidia.com")
			outcome, allocated := "the pod gives its devices back", []string{"theirs"}
			if test.group != "" {
				ours.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{Resource: "podgroups", Name: test.group, UID: types.UID(test.group)}}
				outcome, allocated = "the pod is not bound while both claims have the device", []string{"ours", "theirs"}
			}
			l := newLine(t, ours, theirs)
			made := l.trip(l.plugin, podWith("pod", ours))
			if !made.place() {
				t.Fatalf("the pod is not placed: %v", made.said)
			}
			device := strings.TrimPrefix(made.devices(ours)[0], "gpu.nvidia.com/")
			l.allocate(theirs, device, test.change)

			status := l.plugin.(fwk.PreBindPlugin).PreBind(context.Background(), made.state, made.pod, made.node)
			if status.IsSuccess() == test.twice {
				t.Fatalf("PreBind: %v", status)
			}
			if !test.twice {
				return
			}
			made.leave()
			said := "device " + device + " of driver gpu.nvidia.com in pool " + made.node + " is allocated to resource claim ml/ours and to ml/theirs: another scheduler allocates devices of node " +
				made.node + "; " + outcome
			if event := <-l.handle.recorder.Events; status.Message() != said || event != "Warning DeviceAllocatedTwice "+said {
				t.Errorf("the pod is told %q, event %q, want %q", status.Message(), event, said)
			}
			if status.Code() != fwk.Unschedulable {
				t.Errorf("code %v", status.Code())
			}
			if diff := cmp.Diff(allocated, l.allocated()); diff != "" {
				t.Errorf("allocated claims (-want,+got):\n%s", diff)
			}
			if test.group != "" {
				return
			}
			if status := l.bind(podWith("pod", ours)); !status.IsSuccess() {
				t.Errorf("the pod comes again: %v", status)
			}
			l.once("ours", "theirs")
		})
	}
}

// allocate writes a device of the first node into a claim, as another scheduler does, and
// waits until the scheduler sees it.
func (l *line) allocate(c *resourceapi.ResourceClaim, device string, change func(*resourceapi.DeviceRequestAllocationResult)) {
	l.Helper()
	claims := l.handle.client.ResourceV1().ResourceClaims("ml")
	now, err := claims.Get(context.Background(), c.Name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	now.Status.Allocation = holding("any", device).Status.Allocation
	change(&now.Status.Allocation.Devices.Results[0])
	if _, err := claims.UpdateStatus(context.Background(), now, metav1.UpdateOptions{}); err != nil {
		l.Fatal(err)
	}
	l.eventually("the scheduler sees the other claim", func() bool {
		shown, err := l.handle.manager.ResourceClaims().Get("ml", c.Name)
		whole := now.Status.Allocation.Devices.Results[0].AdminAccess == nil && now.Status.Allocation.Devices.Results[0].ShareID == nil
		return err == nil && shown.Status.Allocation != nil && draaware.HoldsDevices(l.plugin, c.UID) == whole
	})
}
