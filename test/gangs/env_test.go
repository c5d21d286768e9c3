// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// patience is how long a controller may take to create the pods of one object,
// and Dovetail to place them. Controllers retry with a backoff.
const patience = time.Minute

// env is one test's place: a namespace of its own in the shared cluster, and a
// watcher of the cluster that reads declarations as Dovetail does.
type env struct {
	*testing.T
	cluster *localcluster.Cluster
	client  dynamic.Interface
	core    kubernetes.Interface
	watcher *workloads.Watcher
	sources gangs.Sources
	ns      string
}

func newEnv(t *testing.T) *env {
	t.Helper()
	cluster, err := sharedCluster()
	if err != nil {
		t.Fatalf("starting the shared cluster: %v", err)
	}
	e := &env{T: t, cluster: cluster, client: dynamic.NewForConfigOrDie(cluster.AdminConfig()), core: kubernetes.NewForConfigOrDie(cluster.AdminConfig())}
	if e.watcher, err = workloads.New(cluster.AdminConfig()); err != nil {
		t.Fatalf("making the watcher: %v", err)
	}
	if err := e.watcher.Start(t.Context()); err != nil {
		t.Fatalf("starting the watcher: %v", err)
	}
	e.sources = gangs.NewSources(e.watcher)
	ns, err := e.core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "gangs-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	e.ns = ns.Name
	t.Cleanup(e.leave)
	e.until("the namespace has its ServiceAccount", func(ctx context.Context) string {
		_, err := e.core.CoreV1().ServiceAccounts(e.ns).Get(ctx, "default", metav1.GetOptions{})
		return text(err)
	})
	invariants.Run(t, cluster.AdminConfig())
	return e
}

// leave explains a failure, and has the namespace deleted. Nobody waits for that:
// no other test looks there.
func (e *env) leave() {
	if e.Failed() {
		e.explain()
	}
	err := e.core.CoreV1().Namespaces().Delete(context.Background(), e.ns, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		e.Errorf("deleting namespace %s: %v", e.ns, err)
	}
}

func (e *env) explain() {
	list, err := e.core.CoreV1().Pods(e.ns).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		e.Logf("listing pods: %v", err)
		return
	}
	for i := range list.Items {
		pod := &list.Items[i]
		e.Logf("pod %s (%s) on %q, %s: %s", pod.Name, pod.Spec.SchedulerName, pod.Spec.NodeName, pod.Status.Phase, unschedulable(pod))
	}
	for _, name := range []string{localcluster.Dovetail, localcluster.KubeRay, localcluster.JobSet} {
		if log, err := e.cluster.Logs(name); err == nil {
			lines := strings.Split(log, "\n")
			e.Logf("last words of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-15):], "\n"))
		}
	}
}

// until waits until wrong says nothing any more.
func (e *env) until(what string, wrong func(context.Context) string) {
	e.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(e.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = wrong(ctx)
		return last == "", nil
	})
	if err != nil {
		e.Fatalf("waited %v in vain: %s: %s", patience, what, last)
	}
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// create makes the objects of some YAML in the test's namespace, and returns the
// last. NAMESPACE stands for its name.
func (e *env) create(documents ...string) *unstructured.Unstructured {
	e.Helper()
	var made *unstructured.Unstructured
	for _, document := range documents {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			e.Fatalf("reading a test's object: %v\n%s", err, document)
		}
		var err error
		if made, err = e.of(resourceOf(u)).Create(e.Context(), u, metav1.CreateOptions{}); err != nil {
			e.Fatalf("creating %s %s: %v", u.GetKind(), u.GetName(), err)
		}
	}
	return made
}

func (e *env) of(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	return e.client.Resource(resource).Namespace(e.ns)
}

// resourceOf is right for every kind that the tests make.
func resourceOf(u *unstructured.Unstructured) schema.GroupVersionResource {
	return u.GroupVersionKind().GroupVersion().WithResource(strings.ToLower(u.GetKind()) + "s")
}

// edit changes an object, again if its controller wrote to it meanwhile.
func (e *env) edit(resource schema.GroupVersionResource, name string, change func(*unstructured.Unstructured) error) {
	e.Helper()
	e.until("changing "+name, func(ctx context.Context) string {
		u, err := e.of(resource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if err := change(u); err != nil {
			return err.Error()
		}
		_, err = e.of(resource).Update(ctx, u, metav1.UpdateOptions{})
		return text(err)
	})
}

func (e *env) pods() []corev1.Pod {
	e.Helper()
	list, err := e.core.CoreV1().Pods(e.ns).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing pods: %v", err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

func (e *env) members(key gangs.Key) []gangs.Member {
	e.Helper()
	var members []gangs.Member
	pods := e.pods()
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
	e.until(key.String()+" is placed", func(context.Context) string {
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
	metrics, err := e.cluster.Metrics(e.Context(), localcluster.Dovetail)
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
	e.until("an event on "+owner.Kind+" "+owner.Name, func(ctx context.Context) string {
		events, err := e.core.EventsV1().Events(e.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for i := range events.Items {
			ev := &events.Items[i]
			if ev.Regarding.Kind == owner.Kind && ev.Regarding.Name == owner.Name && ev.Reason == "GangPlaced" && strings.Contains(ev.Note, " of "+key.String()+" placed in ") {
				return ""
			}
		}
		return fmt.Sprintf("%d events, none says that %s is placed", len(events.Items), key)
	})
}

// waits waits until n pods say why they wait, in words that contain the sentence,
// and checks that none of the test's pods has a node.
func (e *env) waits(n int, sentence string) {
	e.Helper()
	e.until(fmt.Sprintf("%d pods say %q", n, sentence), func(context.Context) string {
		said, others := 0, ""
		for _, pod := range e.pods() {
			if why := unschedulable(&pod); strings.Contains(why, sentence) {
				said++
			} else {
				others += fmt.Sprintf("pod %s on %q: %s; ", pod.Name, pod.Spec.NodeName, why)
			}
		}
		if said == n {
			return ""
		}
		return fmt.Sprintf("%d do; %s", said, others)
	})
	for _, pod := range e.pods() {
		if pod.Spec.NodeName != "" {
			e.Errorf("pod %s is on %s, while its gang is not there", pod.Name, pod.Spec.NodeName)
		}
	}
}

// alone waits until the pods that match have nodes, and checks that they are in
// no gang.
func (e *env) alone(n int, which func(*corev1.Pod) bool) {
	e.Helper()
	e.until(fmt.Sprintf("%d pods are scheduled by themselves", n), func(context.Context) string {
		bound := 0
		pods := e.pods()
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
	pods := e.pods()
	for i := range pods {
		if key, ok := e.sources.Key(&pods[i]); ok && which(&pods[i]) {
			e.Errorf("pod %s is in gang %s", pods[i].Name, key)
		}
	}
}

func unschedulable(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return ""
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
	if _, err := e.core.CoreV1().Pods(e.ns).Create(e.Context(), pod, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating pod %s: %v", name, err)
	}
}
