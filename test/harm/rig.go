// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// rig is a cluster with both schedulers. A measurement has namespaces of its own, and the pods
// of one of the schedulers. The other one has the victim's control pods only.
type rig struct {
	cluster *localcluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	// measured counts the measurements.
	measured int
}

// start starts a rig. It ends with the test.
func start(t *testing.T) *rig {
	t.Helper()
	cluster := harness.Start(t, localcluster.Options{
		Fleets: []fleet.Spec{attackerFleet, victimFleet}, Without: []string{localcluster.KubeRay},
	})
	cfg := cluster.AdminConfig()
	cfg.QPS = -1
	r := &rig{cluster: cluster, client: kubernetes.NewForConfigOrDie(cfg), dynamic: dynamic.NewForConfigOrDie(cfg)}
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// createNamespace returns when pods can be created in the namespace.
func (r *rig) createNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := r.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace %s: %w", name, err)
	}
	return r.awaitServiceAccount(ctx, name)
}

// residents is the namespace of a pod on each node of the victim.
const residents = "residents"

func (r *rig) prepare(ctx context.Context) error {
	if err := r.createNamespace(ctx, residents); err != nil {
		return err
	}
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: idleClass}, Provisioner: "example.com/nobody",
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	if _, err := r.client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a StorageClass: %w", err)
	}
	for node := range victimFleet.All() {
		if err := r.dedicate(ctx, node.Name()); err != nil {
			return err
		}
	}
	return nil
}

// awaitServiceAccount returns when pods can be created in the namespace.
func (r *rig) awaitServiceAccount(ctx context.Context, namespace string) error {
	for {
		_, err := r.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the ServiceAccount of namespace %s: %w", namespace, err)
		case <-time.After(harness.PollStep):
		}
	}
}

// dedicate taints a node for the victim and puts a pod of the victim on it, so that no pod can
// have the whole node.
func (r *rig) dedicate(ctx context.Context, node string) error {
	taint := []byte(`{"spec": {"taints": [{"key": "` + taintKey + `", "value": "victim", "effect": "NoSchedule"}]}}`)
	if _, err := r.client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, taint, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("tainting node %s: %w", node, err)
	}
	pod := newPod(stock, node, requesting(corev1.ResourceCPU, "10"), func(pod *corev1.Pod) { pod.Spec.NodeName = node })
	if _, err := r.client.CoreV1().Pods(residents).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a pod on node %s: %w", node, err)
	}
	return nil
}
