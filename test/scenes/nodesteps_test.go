// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// taintKey is the key of the taint of scenes.
const taintKey = "example.com/maintenance"

// rooms assigns each node a room, "" for none.
func rooms(names ...string) step {
	return func(s *stage) {
		s.Helper()
		for i, name := range names {
			if name != "" {
				s.label(i, room, name)
			}
		}
	}
}

// room assigns a further node a room.
func nodeGetsRoom(i int, name string) step {
	return func(s *stage) {
		s.Helper()
		s.label(i, room, name)
	}
}

func (s *stage) label(node int, key, value string) {
	s.Helper()
	if err := s.patchNode(s.Context(), node, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, key, value)); err != nil {
		s.Fatalf("labelling node %d: %v", node, err)
	}
	s.later(func(ctx context.Context) error {
		return s.patchNode(ctx, node, fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, key))
	})
}

func (s *stage) patchNode(ctx context.Context, node int, patch string) error {
	_, err := s.Client.CoreV1().Nodes().Patch(ctx, nodeName(node), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// cordoned closes nodes to new pods.
func cordoned(numbers ...int) step {
	return func(s *stage) {
		s.Helper()
		for _, i := range numbers {
			s.Cordon(nodeName(i), true)
			s.later(func(context.Context) error { s.Cordon(nodeName(i), false); return nil })
		}
	}
}

func uncordoned(i int) step {
	return func(s *stage) {
		s.Helper()
		s.Cordon(nodeName(i), false)
	}
}

// tainted gives nodes the taint that only tolerant pods tolerate.
func tainted(numbers ...int) step {
	return func(s *stage) {
		s.Helper()
		for _, i := range numbers {
			s.taint(i, true)
			s.later(func(ctx context.Context) error { return s.setTaint(ctx, i, false) })
		}
	}
}

func untainted(numbers ...int) step {
	return func(s *stage) {
		s.Helper()
		for _, i := range numbers {
			s.taint(i, false)
		}
	}
}

func (s *stage) taint(node int, present bool) {
	s.Helper()
	if err := s.setTaint(s.Context(), node, present); err != nil {
		s.Fatalf("changing the taint of node %d: %v", node, err)
	}
}

func (s *stage) setTaint(ctx context.Context, node int, present bool) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		object, err := s.Client.CoreV1().Nodes().Get(ctx, nodeName(node), metav1.GetOptions{})
		if err != nil {
			return err
		}
		object.Spec.Taints = slices.DeleteFunc(object.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == taintKey })
		if present {
			object.Spec.Taints = append(object.Spec.Taints, corev1.Taint{Key: taintKey, Effect: corev1.TaintEffectNoSchedule})
		}
		_, err = s.Client.CoreV1().Nodes().Update(ctx, object, metav1.UpdateOptions{})
		return err
	})
}

// Nodes that a scene adds have this label.
const addedLabel = "example.com/added"

// added adds nodes like node 0. No kubelet is simulated on one that is bare: what runs there
// ends only if the scene says so.
func added(bare bool, n int) step {
	return func(s *stage) {
		s.Helper()
		model, err := s.Client.CoreV1().Nodes().Get(s.Context(), nodeName(0), metav1.GetOptions{})
		if err != nil {
			s.Fatalf("reading a node: %v", err)
		}
		for i := range n {
			s.addNode(model, fmt.Sprintf("%s-%d", s.Namespace, i), bare)
		}
	}
}

func (s *stage) addNode(model *corev1.Node, name string, bare bool) {
	s.Helper()
	node := model.DeepCopy()
	node.ObjectMeta = metav1.ObjectMeta{Name: name, Labels: node.Labels, Annotations: map[string]string{}}
	node.Labels[host], node.Labels[addedLabel] = name, s.Namespace
	node.Labels[leaf], node.Labels[spine] = "added", "added"
	node.Spec = corev1.NodeSpec{}
	if !bare {
		node.Annotations[fleet.AnnotationKwok] = fleet.AnnotationKwokValue
	}
	if _, err := s.Client.CoreV1().Nodes().Create(s.Context(), node, metav1.CreateOptions{}); err != nil {
		s.Fatalf("adding a node: %v", err)
	}
	s.later(func(ctx context.Context) error {
		return s.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	})
}

// onAdded selects the nodes that the scene adds.
func onAdded(s *stage, p *corev1.Pod) {
	selecting(addedLabel, s.Namespace)(s, p)
	p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
}

// deleted deletes a pod.
func deleted(name string) step {
	return func(s *stage) {
		s.Helper()
		s.RemovePod(name)
	}
}

// patched changes a pod by a strategic merge patch.
func patched(name, patch string) step {
	return func(s *stage) {
		s.Helper()
		if _, err := s.Client.CoreV1().Pods(s.Namespace).Patch(s.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			s.Fatalf("changing pod %s: %v", name, err)
		}
	}
}

// addedLater adds a second node to that of added.
func addedLater(s *stage) {
	s.Helper()
	model, err := s.Client.CoreV1().Nodes().Get(s.Context(), nodeName(0), metav1.GetOptions{})
	if err != nil {
		s.Fatalf("reading a node: %v", err)
	}
	s.addNode(model, s.Namespace+"-later", false)
}
