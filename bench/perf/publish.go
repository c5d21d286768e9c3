// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/kubernetes/pkg/scheduler"
	upstream "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/utils/client-go/ktesting"
)

// pairsAnnotation is the node annotation with the number of GPU and NIC pairs.
const pairsAnnotation = "bench.dovetail.dev/pairs"

// publishers is the number of parallel writers.
const publishers = 30

// publishDevices writes the ResourceSlices of nodes with GPU and NIC pairs, in parallel.
// Upstream's own operation writes ResourceSlices sequentially: at 5,000 nodes that takes
// longer than the workload.
func publishDevices(tCtx ktesting.TContext, _ *scheduler.Scheduler, _ *upstream.Workload, nodes *v1.NodeList) error {
	var mu sync.Mutex
	var failed error
	workqueue.ParallelizeUntil(tCtx, publishers, len(nodes.Items), func(i int) {
		if err := publishNode(tCtx, &nodes.Items[i]); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		}
	})
	return failed
}

func publishNode(tCtx ktesting.TContext, node *v1.Node) error {
	text := node.Annotations[pairsAnnotation]
	if text == "" {
		return nil
	}
	pairs, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("annotation %s of node %s: %w", pairsAnnotation, node.Name, err)
	}
	for _, driver := range []string{"gpu.nvidia.com", "dra.net"} {
		slice := sliceOf(node.Name, driver, pairs)
		if _, err := tCtx.Client().ResourceV1().ResourceSlices().Create(tCtx, slice, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("publishing devices of node %s: %w", node.Name, err)
		}
	}
	return nil
}

// sliceOf returns the ResourceSlice of a driver's devices on a node. Devices with the
// same number share a PCIe root.
func sliceOf(node, driver string, devices int) *resourceapi.ResourceSlice {
	slice := &resourceapi.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: node + "-" + driver},
		Spec: resourceapi.ResourceSliceSpec{
			Driver: driver, NodeName: &node,
			Pool: resourceapi.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
		},
	}
	for i := range devices {
		root := fmt.Sprintf("pci0000:%02x", i)
		slice.Spec.Devices = append(slice.Spec.Devices, resourceapi.Device{
			Name:       fmt.Sprintf("device-%d", i),
			Attributes: map[resourceapi.QualifiedName]resourceapi.DeviceAttribute{"resource.kubernetes.io/pcieRoot": {StringValue: &root}},
		})
	}
	return slice
}
