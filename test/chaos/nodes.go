// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// machines are the nodes of the cluster with their devices.
type machines struct {
	client kubernetes.Interface
	all    []fleet.Node
}

func newMachines(client kubernetes.Interface, spec fleet.Spec) *machines {
	m := &machines{client: client}
	for node := range spec.All() {
		m.all = append(m.all, node)
	}
	return m
}

// remove deletes a node, its devices and its pods.
func (m *machines) remove(ctx context.Context, node fleet.Node) error {
	return errors.Join(absent(m.client.CoreV1().Nodes().Delete(ctx, node.Name(), metav1.DeleteOptions{})),
		m.removeSlices(ctx, node), m.removePods(ctx, node))
}

func (m *machines) removeSlices(ctx context.Context, node fleet.Node) error {
	var errs []error
	for _, slice := range node.Slices() {
		errs = append(errs, absent(m.client.ResourceV1().ResourceSlices().Delete(ctx, slice.Name, metav1.DeleteOptions{})))
	}
	return errors.Join(errs...)
}

// removePods deletes the pods of a node at once. The pod garbage collector would do so after a
// while.
func (m *machines) removePods(ctx context.Context, node fleet.Node) error {
	pods, err := m.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name()})
	if err != nil {
		return err
	}
	var errs []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		errs = append(errs, absent(m.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})))
	}
	return errors.Join(errs...)
}

// restore creates what is missing of a node and its devices, and makes it schedulable.
func (m *machines) restore(ctx context.Context, node fleet.Node) error {
	created, err := m.client.CoreV1().Nodes().Create(ctx, node.Object(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		created, err = m.client.CoreV1().Nodes().Get(ctx, node.Name(), metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	slices := node.Slices()
	fleet.Own(slices, created)
	errs := []error{m.mark(ctx, node, false, false)}
	for _, slice := range slices {
		errs = append(errs, m.restoreSlice(ctx, slice))
	}
	return errors.Join(errs...)
}

// restoreSlice creates a slice if it is missing. It deletes the slice of a former node of the
// same name and returns an error, so that the caller tries again.
func (m *machines) restoreSlice(ctx context.Context, slice *resourceapi.ResourceSlice) error {
	_, err := m.client.ResourceV1().ResourceSlices().Create(ctx, slice, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	is, err := m.client.ResourceV1().ResourceSlices().Get(ctx, slice.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if is.OwnerReferences[0].UID == slice.OwnerReferences[0].UID {
		return nil
	}
	err = m.client.ResourceV1().ResourceSlices().Delete(ctx, slice.Name, metav1.DeleteOptions{})
	return errors.Join(fmt.Errorf("slice %s belongs to a former node", slice.Name), absent(err))
}

// chaosTaint is the taint that a fault gives to nodes.
const chaosTaint = "chaos.dovetail.dev/fault"

// mark makes a node unschedulable, or gives it a taint, or takes both away.
func (m *machines) mark(ctx context.Context, node fleet.Node, unschedulable, tainted bool) error {
	taints := "[]"
	if tainted {
		taints = fmt.Sprintf(`[{"key":%q,"effect":%q}]`, chaosTaint, corev1.TaintEffectNoExecute)
	}
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%v,"taints":%s}}`, unschedulable, taints)
	_, err := m.client.CoreV1().Nodes().Patch(ctx, node.Name(), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// absent returns the error of a deletion, nil if the object did not exist.
func absent(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
