// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// env is one test's namespace in the shared cluster, and a watcher of the cluster that reads
// declarations as Dovetail does.
type env struct {
	*harness.Env
	watcher *workloads.Watcher
	sources gangs.Sources
}

func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{Env: harness.New(t, shared.Cluster(t), harness.Options{
		Prefix: "gangs-", LeaveNamespace: true, Logs: []string{localcluster.Dovetail, localcluster.KubeRay, localcluster.JobSet},
	})}
	var err error
	if e.watcher, err = workloads.New(e.Cluster.AdminConfig()); err != nil {
		t.Fatalf("making the watcher: %v", err)
	}
	if err := e.watcher.Start(t.Context()); err != nil {
		t.Fatalf("starting the watcher: %v", err)
	}
	e.sources = gangs.NewSources(e.watcher)
	return e
}

// withT returns the same environment for a subtest.
func (e *env) withT(t *testing.T) *env {
	return &env{Env: e.WithT(t), watcher: e.watcher, sources: e.sources}
}

func (e *env) members(key gangs.Key) []gangs.Member {
	e.Helper()
	var members []gangs.Member
	pods := e.Pods("")
	for i := range pods {
		if m, ok := e.sources.Member(&pods[i]); ok && m.Key == key {
			members = append(members, m)
		}
	}
	return members
}

// placed waits until the gang has so many pods of each role and all of them have
// nodes. It must be known by its source: on its owner, if it has one, and in the
// metric.
func (e *env) placed(key gangs.Key, roles map[string]int) {
	e.Helper()
	var g gangs.Gang
	e.Until(key.String()+" is placed", func(context.Context) string {
		members := e.members(key)
		var err error
		if g, err = e.sources.Gang(key, members); err != nil {
			return err.Error()
		}
		got, pending := map[string]int{}, 0
		for _, m := range members {
			if !g.Has(m) || !gangs.Live(m.Pod) {
				continue
			}
			got[roleName(m.Role)]++
			if m.Pod.Spec.NodeName == "" {
				pending++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(roles) || pending > 0 {
			return fmt.Sprintf("want pods %v, there are %v, of which %d have no node; the gang is %+v", roles, got, pending, g)
		}
		return ""
	})
	e.named(key, g.Owner)
}

// roleName is a role without the hash of a shape.
func roleName(role string) string {
	if part, hash, ok := strings.Cut(role, "-"); ok && len(hash) == 8 {
		return part
	}
	return role
}

// named checks that the source shows.
func (e *env) named(key gangs.Key, owner corev1.ObjectReference) {
	e.Helper()
	metrics, err := e.Cluster.Metrics(e.Context(), localcluster.Dovetail)
	if err != nil {
		e.Fatal(err)
	}
	if !slices.ContainsFunc(strings.Split(metrics, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "dovetail_gangs{") && strings.Contains(line, `source="`+key.Source+`"`) && !strings.HasSuffix(line, " 0")
	}) {
		e.Errorf("metric dovetail_gangs counts no gang of source %s", key.Source)
	}
	if owner.Name == "" {
		return
	}
	e.Until("an event on "+owner.Kind+" "+owner.Name, func(context.Context) string {
		events := e.Events()
		if slices.ContainsFunc(events, func(event string) bool {
			return strings.HasPrefix(event, owner.Kind+" "+owner.Name+": GangPlaced: ") && strings.Contains(event, " of "+key.String()+" placed in ")
		}) {
			return ""
		}
		return fmt.Sprintf("%d events, none says that %s is placed", len(events), key)
	})
}

// alone waits until the pods that match have nodes, and checks that they are in
// no gang.
func (e *env) alone(n int, which func(*corev1.Pod) bool) {
	e.Helper()
	e.Until(fmt.Sprintf("%d pods are scheduled by themselves", n), func(context.Context) string {
		bound := 0
		pods := e.Pods("")
		for i := range pods {
			if which(&pods[i]) && pods[i].Spec.NodeName != "" {
				bound++
			}
		}
		if bound == n {
			return ""
		}
		return fmt.Sprintf("%d have a node", bound)
	})
	pods := e.Pods("")
	for i := range pods {
		if key, ok := e.sources.Key(&pods[i]); ok && which(&pods[i]) {
			e.Errorf("pod %s is in gang %s", pods[i].Name, key)
		}
	}
}

// change is one way in which a pod of a test differs from the plain one.
type change func(*corev1.Pod)

func labels(pairs ...string) change {
	return func(p *corev1.Pod) {
		for i := 0; i < len(pairs); i += 2 {
			metav1.SetMetaDataLabel(&p.ObjectMeta, pairs[i], pairs[i+1])
		}
	}
}

func annotations(pairs ...string) change {
	return func(p *corev1.Pod) {
		for i := 0; i < len(pairs); i += 2 {
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, pairs[i], pairs[i+1])
		}
	}
}

// createPod makes a pod for Dovetail.
func (e *env) createPod(name string, changes ...change) {
	e.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{SchedulerName: "dovetail", Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause"}}},
	}
	for _, change := range changes {
		change(pod)
	}
	if _, err := e.Client.CoreV1().Pods(e.Namespace).Create(e.Context(), pod, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating pod %s: %v", name, err)
	}
}
