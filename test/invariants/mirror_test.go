// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// version returns a pod with a resource version.
func version(name string, number int) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: strconv.Itoa(number)}}
}

// recording returns a mirror and the changes that it delivers.
func recording() (*mirror[*v1.Pod], *[]string) {
	var changes []string
	return newMirror(&sync.Mutex{}, func(was, is *v1.Pod, _ time.Time) {
		changes = append(changes, fmt.Sprintf("%s>%s", named(was), named(is)))
	}), &changes
}

func named(pod *v1.Pod) string {
	if pod == nil {
		return "-"
	}
	return pod.Name + pod.ResourceVersion
}

func TestMirrorKeepsTheOrderOfEvents(t *testing.T) {
	m, changes := recording()
	events := []func() error{
		func() error { return m.Add(version("a", 1)) },
		func() error { return m.Add(version("b", 2)) },
		func() error { return m.Delete(version("b", 3)) },
		func() error { return m.Update(version("a", 4)) },
		func() error { return m.Delete(version("b", 3)) },
	}
	for _, event := range events {
		if err := event(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"->a1", "->b2", "b2>-", "a1>a4"}, *changes); diff != "" {
		t.Errorf("changes (-want,+got):\n%s", diff)
	}
}

func TestMirrorDropsFirstWhenItIsReplaced(t *testing.T) {
	m, changes := recording()
	if err := m.Replace([]any{version("b", 2), version("a", 1)}, "2"); err != nil {
		t.Fatal(err)
	}
	if err := m.Replace([]any{version("d", 6), version("a", 5)}, "6"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"->a1", "->b2", "b2>-", "a1>a5", "->d6"}, *changes); diff != "" {
		t.Errorf("changes (-want,+got):\n%s", diff)
	}
	if !m.reached(6) || m.reached(7) {
		t.Errorf("the mirror has reached %d, want 6", m.seen)
	}
}

func TestMirrorRefusesOtherKinds(t *testing.T) {
	m, changes := recording()
	for name, refuse := range map[string]func() error{
		"add":     func() error { return m.Add(&v1.Node{}) },
		"delete":  func() error { return m.Delete(&v1.Node{}) },
		"replace": func() error { return m.Replace([]any{&v1.Node{}}, "1") },
	} {
		if refuse() == nil {
			t.Errorf("%s: a Node was taken for a Pod", name)
		}
	}
	if len(*changes) > 0 {
		t.Errorf("want no changes, got %q", *changes)
	}
}
