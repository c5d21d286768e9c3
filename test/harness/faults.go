// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// KillAfter kills the scheduler as soon as n of the pods that match the selector are bound. It
// closes the channel when the scheduler has ended.
func (e *Env) KillAfter(n int, selector string) <-chan struct{} {
	e.Helper()
	watch, err := e.Client.CoreV1().Pods(e.Namespace).Watch(e.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		e.Fatalf("watching pods: %v", err)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		defer watch.Stop()
		bound := map[string]bool{}
		for event := range watch.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
				bound[pod.Name] = true
			}
			if len(bound) >= n {
				break
			}
		}
		if err := e.Cluster.Kill(localcluster.Dovetail); err != nil {
			e.Errorf("killing the scheduler: %v", err)
		}
	}()
	return dead
}

// SlowConfig returns the shipped configuration of the scheduler with a client that sends at
// most qps requests a second, so that a test can act between two bindings of a gang.
func SlowConfig(qps int) ([]byte, error) {
	fast := string(manifests.SchedulerConfig)
	if !strings.Contains(fast, "qps: 1000") || !strings.Contains(fast, "burst: 2000") {
		return nil, errors.New("the shipped configuration does not set qps and burst as the tests expect")
	}
	return []byte(strings.NewReplacer("qps: 1000", fmt.Sprintf("qps: %d", qps), "burst: 2000", "burst: 1").Replace(fast)), nil
}

// RefuseBindings has the API server refuse the bindings of the named pods of the test's
// namespace, until the returned function is called or the test ends.
func (e *Env) RefuseBindings(names ...string) (allow func()) {
	e.Helper()
	policies, bindings := e.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), e.Client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	name, ctx := "refuse-"+e.Namespace, context.Background()
	allow = sync.OnceFunc(func() {
		if err := errors.Join(bindings.Delete(ctx, name, metav1.DeleteOptions{}), policies.Delete(ctx, name, metav1.DeleteOptions{})); err != nil {
			e.Errorf("allowing bindings: %v", err)
		}
	})
	_, err := policies.Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/binding"}},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("!(object.metadata.namespace == %q && object.metadata.name in %s)", e.Namespace, celList(names)),
				Message:    "not now",
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("making a policy: %v", err)
	}
	e.Cleanup(allow)
	_, err = bindings.Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("putting a policy in force: %v", err)
	}
	e.Eventually("the policy is in force", func() bool { // this binding only tests the policy
		err := e.Client.CoreV1().Pods(e.Namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: names[0]}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"},
		}, metav1.CreateOptions{})
		return err != nil && strings.Contains(err.Error(), "not now")
	})
	return allow
}

// celList returns a list of strings in the Common Expression Language.
func celList(values []string) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = strconv.Quote(value)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Cordon closes a node to new pods, or opens it again.
func (e *Env) Cordon(node string, closed bool) {
	e.Helper()
	patch := fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, closed)
	_, err := e.Client.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		e.Errorf("cordoning node %s: %v", node, err)
	}
}
