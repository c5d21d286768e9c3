// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/invariants"
)

// The checker that all tests here run under sees PodGroups on a real API server: a pod
// of a gang of three is bound by hand, and it says so.
func TestCheckerSeesHalfAGroup(t *testing.T) {
	t.Parallel()
	// Its own checker would fail the test.
	e := &env{Env: harness.New(t, shared.Cluster(t), harness.Options{Prefix: "half-", Unchecked: true})}
	checker, err := invariants.Watch(t.Context(), e.Cluster.AdminConfig(), invariants.Options{Grace: time.Second, Settle: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(checker.Stop)

	e.group("half", 3)
	e.members("half", 0, 1, small)
	list, err := e.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "half-0"}, Target: corev1.ObjectReference{Kind: "Node", Name: list.Items[0].Name}}
	if err := e.Client.CoreV1().Pods(e.Namespace).Bind(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("binding a pod: %v", err)
	}
	want := "gang scheduling.k8s.io PodGroup " + e.Namespace + "/half: bound below its minimum (member 1 of 3)"
	e.Eventually("the checker says "+want, func() bool {
		for _, v := range checker.Violations() {
			if strings.HasPrefix(v.Sentence, want) {
				return true
			}
		}
		return false
	})
}
