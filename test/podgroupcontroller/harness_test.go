// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroupcontroller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// patience bounds every wait for something that should take seconds.
const patience = 90 * time.Second

var started bool

// TestMain ends the cluster that all tests share, if one started it.
func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if cluster, err := sharedCluster(); err == nil {
			if err := cluster.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stopping the shared cluster:", err)
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}

// sharedCluster serves Kubernetes' own PodGroups, with the gate on for everybody.
// There is no stock scheduler, so that nobody but Dovetail binds a pod.
//
// NATIVEGROUPS_GATE=false turns Dovetail's own gate off, so that the groups are
// placed as every other gang is. Otherwise it is on, because such groups are served.
var gate = os.Getenv("NATIVEGROUPS_GATE")

var sharedCluster = sync.OnceValues(func() (*localcluster.Cluster, error) {
	started = true
	flags := []string{"--native-groups"}
	if gate != "" {
		flags = append(flags, "--feature-gates=GenericWorkload="+gate)
	}
	cluster, err := localcluster.Start(context.Background(), localcluster.Options{
		Fleets:       []fleet.Spec{{Name: "plain", Shape: fleet.Plain, Spines: 1, Leaves: 2, Nodes: 2}},
		With:         []string{localcluster.JobSet},
		Without:      []string{localcluster.Scheduler},
		FeatureGates: "GenericWorkload=true",
		Args:         map[string][]string{localcluster.Dovetail: flags},
		Out:          os.Stderr,
	})
	if err != nil {
		return nil, err
	}
	return cluster, applyOptIns(cluster)
})

func applyOptIns(cluster *localcluster.Cluster) error {
	args := []string{"apply"}
	for _, file := range []string{"native-groups/rbac.yaml", "native-groups/policies.yaml", "scheduler-name/policies.yaml"} {
		args = append(args, "-f", filepath.Join("..", "..", "manifests", filepath.FromSlash(file)))
	}
	if out, err := cluster.Kubectl(context.Background(), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("applying the opt-ins: %w: %s", err, out)
	}
	return nil
}

// env is one test's place: a namespace of its own in the shared cluster, under the
// checker of invariants.
type env struct {
	*testing.T
	client  kubernetes.Interface
	dynamic dynamic.Interface
	cluster *localcluster.Cluster
	ns      string
}

// newEnv returns when the policies of the cluster are in force.
func newEnv(t *testing.T, labels map[string]string) *env {
	t.Helper()
	cluster, err := sharedCluster()
	if err != nil {
		t.Fatalf("starting the shared cluster: %v", err)
	}
	cfg := cluster.AdminConfig()
	e := &env{T: t, cluster: cluster, client: kubernetes.NewForConfigOrDie(cfg), dynamic: dynamic.NewForConfigOrDie(cfg)}
	ns, err := e.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "native-", Labels: labels}}, metav1.CreateOptions{})
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
	e.until("the policies are in force", func(ctx context.Context) string {
		ray := e.dryRun(ctx, rayPod("a", "u"))
		set := e.dryRun(ctx, jobSetPod("a", "u"))
		name := e.dryRun(ctx, plainPod(map[string]string{"dovetail.dev/schedule": "true"}))
		if groupOf(ray) == "" || groupOf(set) == "" || name.Spec.SchedulerName != "dovetail" {
			return fmt.Sprintf("groups %q and %q, scheduler %q", groupOf(ray), groupOf(set), name.Spec.SchedulerName)
		}
		return ""
	})
	return e
}

// empty removes the namespace and waits until its pods hold nothing.
func (e *env) empty() {
	ctx := context.Background()
	if err := e.client.CoreV1().Namespaces().Delete(ctx, e.ns, metav1.DeleteOptions{}); err != nil {
		e.Errorf("deleting namespace %s: %v", e.ns, err)
	}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, err := e.client.CoreV1().Namespaces().Get(ctx, e.ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		e.Errorf("namespace %s does not go: %v", e.ns, err)
	}
}

func (e *env) explain() {
	for _, pod := range e.pods() {
		said := ""
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled {
				said = c.Message
			}
		}
		e.Logf("pod %s (%s, group %q) on %q, %s: %s", pod.Name, pod.Spec.SchedulerName, groupOf(&pod), pod.Spec.NodeName, pod.Status.Phase, said)
	}
	for _, note := range e.notes() {
		e.Logf("event: %s", note)
	}
	for _, name := range []string{localcluster.Dovetail, localcluster.KubeRay} {
		if text, err := e.cluster.Logs(name); err == nil {
			lines := strings.Split(text, "\n")
			e.Logf("last words of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-30):], "\n"))
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

// create makes an object of some YAML in the test's namespace.
func (e *env) create(document string) *unstructured.Unstructured {
	e.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
		e.Fatalf("reading a test's object: %v\n%s", err, document)
	}
	resource := u.GroupVersionKind().GroupVersion().WithResource(strings.ToLower(u.GetKind()) + "s")
	made, err := e.dynamic.Resource(resource).Namespace(e.ns).Create(e.Context(), u, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("creating %s %s: %v", u.GetKind(), u.GetName(), err)
	}
	return made
}

func (e *env) pods() []corev1.Pod {
	e.Helper()
	list, err := e.client.CoreV1().Pods(e.ns).List(context.Background(), metav1.ListOptions{})
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

// notes are the words of the namespace's events.
func (e *env) notes() []string {
	e.Helper()
	list, err := e.client.EventsV1().Events(e.ns).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing events: %v", err)
	}
	var notes []string
	for i := range list.Items {
		event := &list.Items[i]
		notes = append(notes, fmt.Sprintf("%s %s: %s: %s", event.Regarding.Kind, event.Regarding.Name, event.Reason, event.Note))
	}
	return notes
}

func groupOf(pod *corev1.Pod) string {
	if pod.Spec.SchedulingGroup == nil || pod.Spec.SchedulingGroup.PodGroupName == nil {
		return ""
	}
	return *pod.Spec.SchedulingGroup.PodGroupName
}

// dryRun returns the pod as the API server would store it.
func (e *env) dryRun(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	e.Helper()
	made, err := e.client.CoreV1().Pods(e.ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: err.Error()}}
	}
	return made
}
