// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
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

// The schedulers, by the name that pods have in spec.schedulerName.
const (
	stock    = corev1.DefaultSchedulerName
	dovetail = "dovetail"
)

// The fleets of the two namespaces. A taint keeps the attacker's pods off the victim's nodes.
var (
	attackerFleet = fleet.Spec{Name: "attacker", Shape: fleet.NDH100v5, Spines: 2, Leaves: 2, Nodes: 8, Zone: "zone-1", PlacementGroup: "attacker"}
	victimFleet   = fleet.Spec{Name: "victim", Shape: fleet.NDH100v5, Spines: 1, Leaves: 2, Nodes: 6, Zone: "zone-1", PlacementGroup: "victim"}
)

// idleClass is a StorageClass that nobody provisions volumes of.
const idleClass = "idle"

// scale has the sizes of an attack.
type scale struct {
	// pods is the number of pods of most ways.
	pods int
	// many is the number of pods of ways which are about numbers.
	many int
	// length is the time for which a way goes on that repeats the same writes.
	length time.Duration
	// limit ends an attack whose writes take longer.
	limit time.Duration
	// after is the time for which the victim goes on after the attack.
	after time.Duration
	// patience is the longest time for which the victim's last pods are waited for.
	patience time.Duration
}

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

// controlOf returns the scheduler of the control pods.
func controlOf(scheduler string) string {
	if scheduler == dovetail {
		return stock
	}
	return dovetail
}

// component returns the name of a scheduler's component.
func component(scheduler string) string {
	if scheduler == dovetail {
		return localcluster.Dovetail
	}
	return localcluster.Scheduler
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

var cpuMetric = regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`)

// cpu returns the processor time that a scheduler has used.
func (r *rig) cpu(t *testing.T, scheduler string) time.Duration {
	t.Helper()
	text, err := r.cluster.Metrics(t.Context(), component(scheduler))
	if err != nil {
		t.Fatalf("reading metrics: %v", err)
	}
	found := cpuMetric.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("the metrics lack the processor time:\n%s", text)
	}
	seconds, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// measure runs a way with the pods of a scheduler, and returns what the victim waited.
func (r *rig) measure(t *testing.T, way way, scheduler string, size scale) result {
	t.Helper()
	r.measured++
	limited, cancel := context.WithTimeout(t.Context(), size.limit)
	defer cancel()
	a := &attacker{
		ctx: limited, client: r.client, dynamic: r.dynamic, scheduler: scheduler,
		namespace: fmt.Sprintf("attacker-%d", r.measured), victim: fmt.Sprintf("victim-%d", r.measured),
		size: size.pods, many: size.many, length: size.length,
	}
	for _, namespace := range []string{a.namespace, a.victim} {
		if err := r.createNamespace(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	}
	v, err := newVictim(t.Context(), r, a.victim, scheduler)
	if err != nil {
		t.Fatal(err)
	}
	v.warmUp()
	before, began := r.cpu(t, scheduler), time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		way.write(a)
	}()
	v.createUntil(func(now time.Time) bool {
		select {
		case <-done:
			return now.Sub(began) > size.length+size.after
		default:
			return false
		}
	})
	found := v.result(size.patience)
	found.cpu = r.cpu(t, scheduler) - before
	found.written, found.refused, found.refusal = a.written, a.refused, a.refusal
	if err := r.remove(t.Context(), a.namespace, a.victim); err != nil {
		t.Fatal(err)
	}
	return found
}
