// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
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
	// LeaveNamespace does not wait for the deletion of the namespace. It is for tests whose
	// pods hold nothing that another test needs.
	LeaveNamespace bool
	// Logs are the components whose last log lines are printed if the test fails. nil means
	// Dovetail only.
	Logs []string
}

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
	ns, err := e.Client.CoreV1().Namespaces().Create(e.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: e.options.Prefix, Labels: e.options.Labels}}, metav1.CreateOptions{})
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
// until the namespace is gone, and with it the resources of its pods.
func (e *Env) DeleteNamespace() {
	ctx := context.Background()
	err := e.Client.CoreV1().Namespaces().Delete(ctx, e.Namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		e.Errorf("deleting namespace %s: %v", e.Namespace, err)
	}
	if e.options.LeaveNamespace {
		return
	}
	err = wait.PollUntilContextTimeout(ctx, PollStep, Patience, true, func(ctx context.Context) (bool, error) {
		_, err := e.Client.CoreV1().Namespaces().Get(ctx, e.Namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		e.Errorf("namespace %s is not deleted: %v", e.Namespace, err)
	}
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
