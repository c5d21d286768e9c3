// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// patience bounds every wait for something that should take seconds.
	patience = 90 * time.Second
	pollStep = 50 * time.Millisecond
)

// env is one test's place: a cluster, maybe shared with other tests, and a
// namespace of its own.
type env struct {
	*testing.T
	cluster *localcluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	ns      string
}

// started says that the shared cluster has to be stopped.
var started bool

var gpuCluster = sync.OnceValues(func() (*localcluster.Cluster, error) {
	started = true
	return localcluster.Start(context.Background(), localcluster.Options{Fleets: []fleet.Spec{fleet.Default()}})
})

// onGPUs gives the test a namespace in the cluster that all tests share which
// are content with the default fleet: 2 spines x 2 leaves x 4 ND H100 v5 nodes.
func onGPUs(t *testing.T) *env {
	t.Helper()
	cluster, err := gpuCluster()
	if err != nil {
		t.Fatalf("starting the shared cluster: %v", err)
	}
	return newEnv(t, cluster)
}

// onOwn starts a cluster for this test alone.
func onOwn(t *testing.T, options localcluster.Options) *env {
	t.Helper()
	cluster, err := localcluster.Start(context.Background(), options)
	if err != nil {
		t.Fatalf("starting a cluster: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	return newEnv(t, cluster)
}

func newEnv(t *testing.T, cluster *localcluster.Cluster) *env {
	t.Helper()
	cfg := cluster.AdminConfig()
	cfg.QPS, cfg.Burst = 2000, 4000
	e := &env{T: t, cluster: cluster, client: kubernetes.NewForConfigOrDie(cfg), dynamic: dynamic.NewForConfigOrDie(cfg)}
	ns, err := e.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "it-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	e.ns = ns.Name
	t.Cleanup(e.empty)
	invariants.Run(t, cfg)
	t.Cleanup(func() {
		if t.Failed() {
			e.explain()
		}
	})
	return e
}

// empty removes the namespace and waits until its pods hold nothing.
func (e *env) empty() {
	ctx := context.Background()
	err := e.client.CoreV1().Namespaces().Delete(ctx, e.ns, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		e.Errorf("deleting namespace %s: %v", e.ns, err)
	}
	err = wait.PollUntilContextTimeout(ctx, pollStep, patience, true, func(ctx context.Context) (bool, error) {
		_, err := e.client.CoreV1().Namespaces().Get(ctx, e.ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		e.Errorf("namespace %s does not go: %v", e.ns, err)
	}
}

// explain logs what the test left behind, when it failed.
func (e *env) explain() {
	for _, pod := range e.pods("") {
		e.Logf("pod %s on %q: %s", pod.Name, pod.Spec.NodeName, unschedulable(&pod))
	}
	if text, err := e.cluster.Logs(localcluster.Dovetail); err == nil {
		lines := strings.Split(text, "\n")
		e.Logf("dovetail's last words:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

// pods lists the namespace's pods that match the selector, those on their way
// out left aside.
func (e *env) pods(selector string) []corev1.Pod {
	e.Helper()
	list, err := e.client.CoreV1().Pods(e.ns).List(context.Background(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("listing pods: %v", err)
	}
	var live []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			live = append(live, pod)
		}
	}
	return live
}

// nodesOf returns the nodes of the pods that match, "" for one that has none.
func (e *env) nodesOf(selector string) []string {
	e.Helper()
	var nodes []string
	for _, pod := range e.pods(selector) {
		nodes = append(nodes, pod.Spec.NodeName)
	}
	return nodes
}

// bound counts the pods that match and have a node.
func (e *env) bound(selector string) int {
	e.Helper()
	n := 0
	for _, node := range e.nodesOf(selector) {
		if node != "" {
			n++
		}
	}
	return n
}

// eventually waits until the condition holds; what says what is waited for.
func (e *env) eventually(what string, holds func() bool) {
	e.Helper()
	err := wait.PollUntilContextTimeout(e.Context(), pollStep, patience, true,
		func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		e.Fatalf("waited %v in vain: %s", patience, what)
	}
}

// whole waits until n pods match and all have a node.
func (e *env) whole(selector string, n int) {
	e.Helper()
	e.eventually(fmt.Sprintf("%d pods with %s are bound", n, selector), func() bool {
		return len(e.pods(selector)) == n && e.bound(selector) == n
	})
}

// refused waits until every matching pod says why it waits, in words that
// contain the sentence, and checks that none is bound.
func (e *env) refused(selector string, n int, sentence string) {
	e.Helper()
	e.eventually(fmt.Sprintf("%d pods with %s say %q", n, selector, sentence), func() bool {
		said := 0
		for _, pod := range e.pods(selector) {
			if strings.Contains(unschedulable(&pod), sentence) {
				said++
			}
		}
		return said == n
	})
	if n := e.bound(selector); n != 0 {
		e.Errorf("%d pods with %s are bound, want none", n, selector)
	}
}

func containsSentence(pod *corev1.Pod, sentence string) bool {
	return strings.Contains(unschedulable(pod), sentence)
}

// unschedulable returns the words of the pod's PodScheduled=False condition.
func unschedulable(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}

// domains returns the distinct values of a node label over the nodes of the
// pods that match.
func (e *env) domains(selector, label string) map[string]int {
	e.Helper()
	seen := map[string]int{}
	for _, name := range e.nodesOf(selector) {
		node, err := e.client.CoreV1().Nodes().Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			e.Fatalf("reading node %q: %v", name, err)
		}
		seen[node.Labels[label]]++
	}
	return seen
}
