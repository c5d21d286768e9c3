// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// Env is one test's namespace in a cluster that other tests may use at the same time.
type Env struct {
	*testing.T
	Cluster   *localcluster.Cluster
	Client    kubernetes.Interface
	Dynamic   dynamic.Interface
	Namespace string
	options   Options
}

// Options configure an Env. The zero value suits most tests.
type Options struct {
	// Prefix is the start of the namespace's name.
	Prefix string
	// Namespace is an existing namespace, for tests on an API server without other components.
	// The test then gets no namespace of its own, and nothing in this one is deleted.
	Namespace string
	// Labels are the labels of the namespace.
	Labels map[string]string
	// Unchecked runs the test without the invariant checker.
	Unchecked bool
	// LeaveNamespace deletes the namespace without waiting. It is for tests whose pods hold
	// nothing that another test needs.
	LeaveNamespace bool
	// Logs are the components whose last log lines are printed if the test fails. nil means
	// Dovetail only.
	Logs []string
}

// awaitedLabel is on the namespaces whose end Shared.Main waits for.
const awaitedLabel = "test.dovetail.dev/awaited"

// logLines is the number of log lines printed for each component if a test fails.
const logLines = 40

// New gives the test a namespace of its own, and starts the invariant checker for the test.
// Options may turn either off.
func New(t *testing.T, cluster *localcluster.Cluster, options Options) *Env {
	t.Helper()
	cfg := cluster.AdminConfig()
	cfg.QPS, cfg.Burst = 2000, 4000
	if options.Prefix == "" {
		options.Prefix = "test-"
	}
	if options.Logs == nil {
		options.Logs = []string{localcluster.Dovetail}
	}
	e := &Env{T: t, Cluster: cluster, Client: kubernetes.NewForConfigOrDie(cfg), Dynamic: dynamic.NewForConfigOrDie(cfg), options: options}
	if e.Namespace = options.Namespace; e.Namespace == "" {
		e.createNamespace()
	}
	if !options.Unchecked {
		invariants.Run(t, cfg)
	}
	t.Cleanup(func() {
		if t.Failed() {
			e.Explain()
		}
	})
	return e
}

// createNamespace creates the namespace, and returns when pods can be created in it.
func (e *Env) createNamespace() {
	e.Helper()
	labels := map[string]string{}
	maps.Copy(labels, e.options.Labels)
	if !e.options.LeaveNamespace {
		labels[awaitedLabel] = "true"
	}
	ns, err := e.Client.CoreV1().Namespaces().Create(e.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: e.options.Prefix, Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("creating a namespace: %v", err)
	}
	e.Namespace = ns.Name
	e.Cleanup(e.DeleteNamespace)
	e.Until("the namespace has its ServiceAccount", func(ctx context.Context) string {
		_, err := e.Client.CoreV1().ServiceAccounts(e.Namespace).Get(ctx, "default", metav1.GetOptions{})
		return Text(err)
	})
}

// WithT returns the same namespace for a subtest: waits end with the subtest, and failures are
// the subtest's.
func (e *Env) WithT(t *testing.T) *Env {
	copied := *e
	copied.T = t
	return &copied
}

// DeleteNamespace deletes the namespace. Unless Options.LeaveNamespace is set, it waits
// until no pod and no claim of the namespace holds resources. The namespace itself exists
// for at least five more seconds, which the namespace controller waits before it deletes
// content. Shared.Main waits for its end.
func (e *Env) DeleteNamespace() {
	ctx := context.Background()
	err := e.Client.CoreV1().Namespaces().Delete(ctx, e.Namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		e.Errorf("deleting namespace %s: %v", e.Namespace, err)
	}
	if e.options.LeaveNamespace {
		return
	}
	var left error
	err = wait.PollUntilContextTimeout(ctx, PollStep, Patience, true, func(ctx context.Context) (bool, error) {
		left = e.clear(ctx)
		return left == nil, nil
	})
	if err != nil {
		e.Errorf("namespace %s still holds resources: %v", e.Namespace, left)
	}
}

// clear deletes what holds resources in a namespace that is being deleted, and returns an
// error while something is left. Controllers cannot create more: the API server refuses new
// objects in such a namespace. Without its Job, a pod would keep the Job's finalizer.
func (e *Env) clear(ctx context.Context) error {
	background, none := metav1.DeletePropagationBackground, int64(0)
	pods, claims := e.Client.CoreV1().Pods(e.Namespace), e.Client.ResourceV1().ResourceClaims(e.Namespace)
	err := errors.Join(
		e.Client.BatchV1().Jobs(e.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{}),
		pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &none}, metav1.ListOptions{}),
		claims.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
	)
	if err != nil {
		return fmt.Errorf("deleting Jobs, pods and claims: %w", err)
	}
	podList, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	claimList, err := claims.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing claims: %w", err)
	}
	if len(podList.Items)+len(claimList.Items) > 0 {
		return fmt.Errorf("%d pods and %d claims are left", len(podList.Items), len(claimList.Items))
	}
	return nil
}

// Explain logs the objects and events of the namespace and the end of the components' logs.
func (e *Env) Explain() {
	for _, pod := range e.Pods("") {
		e.Logf("pod %s (scheduler %s, group %q) on %q, %s: %s", pod.Name, pod.Spec.SchedulerName, GroupOf(&pod),
			pod.Spec.NodeName, pod.Status.Phase, Unschedulable(&pod))
	}
	for _, event := range e.Events() {
		e.Logf("event: %s", event)
	}
	for _, name := range e.options.Logs {
		if text, err := e.Cluster.Logs(name); err == nil {
			lines := strings.Split(text, "\n")
			e.Logf("end of the log of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-logLines):], "\n"))
		}
	}
}
