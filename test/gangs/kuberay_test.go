// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

const (
	namespace = "default"
	// patience is how long the operator may take to create the pods of one
	// object. It retries with a backoff after its own conflicts.
	patience = time.Minute
)

// quiet is all that these tests need no part of: the pods stay pending.
var quiet = []string{localcluster.Scheduler, localcluster.Kwok, localcluster.Dovetail}

// suspendGate lets worker groups be suspended, which the operator refuses
// otherwise.
const suspendGate = "--feature-gates=RayJobDeletionPolicy=true"

// spec is a RayCluster's spec of which a test says the interesting part.
func spec(fields string, groups ...string) string {
	template := "rayStartParams: {}, template: {spec: {containers: [{name: ray, image: rayproject/ray:2.46.0}]}}"
	for i, g := range groups {
		groups[i] = fmt.Sprintf("{%s, %s}", g, template)
	}
	return fmt.Sprintf("{%sheadGroupSpec: {%s}, workerGroupSpecs: [%s]}", fields, template, strings.Join(groups, ", "))
}

const autoscaling = "enableInTreeAutoscaling: true, "

// counts is what a gang wants of one role, and how much of it is the quorum.
type counts struct{ Min, Want int }

// shapes are the RayClusters whose numbers are traps.
var shapes = map[string]struct {
	spec string
	want map[string]counts
}{
	"plain": {
		spec: spec("", "groupName: cpu, replicas: 2, minReplicas: 0, maxReplicas: 9", "groupName: gpu, replicas: 3, minReplicas: 0, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "cpu": {2, 2}, "gpu": {3, 3}},
	},
	"hosts": {
		spec: spec("", "groupName: w, replicas: 2, numOfHosts: 3, minReplicas: 0, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {6, 6}},
	},
	"below-min": {
		spec: spec("", "groupName: w, replicas: 1, minReplicas: 3, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {3, 3}},
	},
	"above-max": {
		spec: spec("", "groupName: w, replicas: 9, minReplicas: 1, maxReplicas: 4"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {4, 4}},
	},
	"min-above-max": {
		spec: spec("", "groupName: w, replicas: 4, minReplicas: 6, maxReplicas: 2"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {2, 2}},
	},
	"group-suspended": {
		spec: spec("", "groupName: runs, replicas: 2, minReplicas: 0, maxReplicas: 9", "groupName: rests, suspend: true, replicas: 2, minReplicas: 0, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "runs": {2, 2}},
	},
	"autoscaled": {
		spec: spec(autoscaling, "groupName: w, replicas: 5, minReplicas: 2, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {2, 5}},
	},
	"autoscaled-hosts": {
		spec: spec(autoscaling, "groupName: w, replicas: 2, numOfHosts: 2, minReplicas: 1, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {2, 4}},
	},
	"autoscaled-min-above-max": {
		spec: spec(autoscaling, "groupName: w, replicas: 4, minReplicas: 6, maxReplicas: 2"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {2, 2}},
	},
	"autoscaled-from-zero": {
		spec: spec(autoscaling, "groupName: w, replicas: 0, minReplicas: 0, maxReplicas: 9"),
		want: map[string]counts{"headgroup": {1, 1}, "w": {0, 0}},
	},
}

func TestKubeRayWithoutIntegration(t *testing.T) {
	c := start(t, "")
	t.Run("topology", c.topology)
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			c.create(t, fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayCluster, metadata: {namespace: default, name: %s}, spec: %s}", name, shape.spec))
			c.untilComplete(t, gangs.RayClusterKey(namespace, name), shape.want)
		})
	}
}

// In this mode every pod names a PodGroup too, which is right until the cluster
// is resized and stale from then on.
func TestKubeRayInSchedulerPluginsMode(t *testing.T) {
	c := start(t, "scheduler-plugins")
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			c.create(t, fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayCluster, metadata: {namespace: default, name: %s, labels: {ray.io/gang-scheduling-enabled: 'true'}}, spec: %s}", name, shape.spec))
			c.untilComplete(t, gangs.RayClusterKey(namespace, name), shape.want)
			for _, pod := range c.pods(t) {
				if pod.Labels["ray.io/cluster"] == name && pod.Labels[gangs.PodGroupLabel] != name {
					t.Errorf("pod %s names PodGroup %q: this is not the mode that is tested", pod.Name, pod.Labels[gangs.PodGroupLabel])
				}
			}
		})
	}
	t.Run("resized", func(t *testing.T) {
		c.edit(t, rayClusters, "plain", func(u *unstructured.Unstructured) error {
			groups, _, err := unstructured.NestedSlice(u.Object, "spec", "workerGroupSpecs")
			if err != nil {
				return err
			}
			groups[1].(map[string]any)["replicas"] = int64(1)
			return unstructured.SetNestedSlice(u.Object, groups, "spec", "workerGroupSpecs")
		})
		c.untilComplete(t, gangs.RayClusterKey(namespace, "plain"), map[string]counts{"headgroup": {1, 1}, "cpu": {2, 2}, "gpu": {1, 1}})
		group, err := c.watcher.PodGroup(namespace, "plain")
		if err != nil || group.Spec.MinMember != 6 {
			t.Errorf("KubeRay's PodGroup was expected to keep its first minMember 6: %+v, %v", group, err)
		}
	})
}

// topology: a wish reaches the RayCluster that a RayJob or RayService creates,
// and one in a pod template reaches the pods.
func (c *kubeRay) topology(t *testing.T) {
	workers := "groupName: w, replicas: 2, minReplicas: 0, maxReplicas: 9"
	c.create(t, fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayJob, metadata: {namespace: default, name: job, annotations: {%s: leaf}}, spec: {entrypoint: sleep 1, rayClusterSpec: %s}}",
		gangs.RequiredAnnotation, spec("", workers)))
	c.create(t, fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayService, metadata: {namespace: default, name: service, annotations: {%s: rack}}, spec: {serveConfigV2: 'applications: []', rayClusterConfig: %s}}",
		gangs.PreferredAnnotation, spec("", workers)))
	inTemplate := strings.Replace(spec("", workers), "template: {spec", "template: {metadata: {annotations: {"+gangs.RequiredAnnotation+": spine}}, spec", 1)
	c.create(t, "{apiVersion: ray.io/v1, kind: RayCluster, metadata: {namespace: default, name: template}, spec: "+inTemplate+"}")

	want := map[string]gangs.Topology{
		"job":      {Required: "leaf"},
		"service":  {Preferred: "rack"},
		"template": {Required: "spine"},
	}
	for origin, topology := range want {
		t.Run(origin, func(t *testing.T) {
			key := gangs.RayClusterKey(namespace, c.untilCluster(t, origin))
			g := c.untilComplete(t, key, map[string]counts{"headgroup": {1, 1}, "w": {2, 2}})
			if diff := cmp.Diff(topology, g.Topology); diff != "" {
				t.Errorf("topology (-want,+got):\n%s", diff)
			}
		})
	}
}

var rayClusters = workloads.RayCluster.Resource

// kubeRay is a cluster in which the operator runs, and a watcher of it.
type kubeRay struct {
	client  dynamic.Interface
	core    kubernetes.Interface
	watcher *workloads.Watcher
	sources gangs.Sources
}

func start(t *testing.T, mode string) *kubeRay {
	t.Helper()
	cluster, err := localcluster.Start(t.Context(), localcluster.Options{
		Without:               quiet,
		KubeRayBatchScheduler: mode,
		Args:                  map[string][]string{localcluster.KubeRay: {suspendGate}},
		Out:                   os.Stderr,
	})
	if err != nil {
		t.Fatalf("starting a cluster with KubeRay: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	c := &kubeRay{}
	if c.client, err = dynamic.NewForConfig(cluster.AdminConfig()); err != nil {
		t.Fatalf("making a client: %v", err)
	}
	if c.core, err = kubernetes.NewForConfig(cluster.AdminConfig()); err != nil {
		t.Fatalf("making a client: %v", err)
	}
	if c.watcher, err = workloads.New(cluster.AdminConfig()); err != nil {
		t.Fatalf("making the watcher: %v", err)
	}
	if err := c.watcher.Start(t.Context()); err != nil {
		t.Fatalf("starting the watcher: %v", err)
	}
	c.sources = gangs.NewSources(c.watcher, c.watcher)
	return c
}

func (c *kubeRay) create(t *testing.T, text string) {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatalf("reading a test's object: %v\n%s", err, text)
	}
	resource := rayClusters.GroupVersion().WithResource(strings.ToLower(u.GetKind()) + "s")
	if _, err := c.client.Resource(resource).Namespace(namespace).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating %s %s: %v", u.GetKind(), u.GetName(), err)
	}
}

// edit changes an object, again if the operator wrote to it meanwhile.
func (c *kubeRay) edit(t *testing.T, resource schema.GroupVersionResource, name string, change func(*unstructured.Unstructured) error) {
	t.Helper()
	objects := c.client.Resource(resource).Namespace(namespace)
	var last error
	c.until(t, func(ctx context.Context) bool {
		var u *unstructured.Unstructured
		if u, last = objects.Get(ctx, name, metav1.GetOptions{}); last != nil {
			return false
		}
		if last = change(u); last != nil {
			return false
		}
		_, last = objects.Update(ctx, u, metav1.UpdateOptions{})
		return last == nil
	}, func() string { return fmt.Sprintf("changing %s: %v", name, last) })
}

func (c *kubeRay) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := c.core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("listing pods: %v", err)
	}
	return list.Items
}

// untilCluster returns the name of the RayCluster that has the name itself, or
// that a RayJob or RayService of the name created.
func (c *kubeRay) untilCluster(t *testing.T, origin string) string {
	t.Helper()
	var found []string
	c.until(t, func(ctx context.Context) bool {
		list, err := c.client.Resource(rayClusters).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		for _, u := range list.Items {
			if u.GetName() == origin || u.GetLabels()["ray.io/originated-from-cr-name"] == origin {
				found = append(found, u.GetName())
			}
		}
		return len(found) > 0
	}, func() string { return "waiting for the RayCluster of " + origin })
	return found[0]
}

// untilComplete waits until the gang is as wanted and whole, and the operator
// has nothing more to create; the pods must then be as many as the gang wants.
func (c *kubeRay) untilComplete(t *testing.T, key gangs.Key, want map[string]counts) gangs.Gang {
	t.Helper()
	var g gangs.Gang
	why := ""
	c.until(t, func(ctx context.Context) bool {
		members := c.members(t, key)
		var err error
		if g, err = c.sources.Gang(key, members); err != nil {
			why = err.Error()
			return false
		}
		why = cmp.Diff(want, rolesOf(g)) + cmp.Diff(wantedPods(want), podsOf(g, members))
		if v := gangs.Check(g, members); !v.Whole() {
			why += v.Problem + v.Waiting
		}
		if why == "" {
			why = c.operatorView(ctx, key, g)
		}
		return why == ""
	}, func() string { return fmt.Sprintf("%s (-want,+got):\n%s", key, why) })
	return g
}

func (c *kubeRay) members(t *testing.T, key gangs.Key) []gangs.Member {
	t.Helper()
	var members []gangs.Member
	pods := c.pods(t)
	for i := range pods {
		if m, ok := c.sources.Member(&pods[i]); ok && m.Key == key {
			members = append(members, m)
		}
	}
	return members
}

// operatorView compares with how many workers the operator itself says that it
// wants, once it has seen the present spec.
func (c *kubeRay) operatorView(ctx context.Context, key gangs.Key, g gangs.Gang) string {
	u, err := c.client.Resource(rayClusters).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	desired, _, err := unstructured.NestedInt64(u.Object, "status", "desiredWorkerReplicas")
	if err != nil {
		return err.Error()
	}
	workers := -1 // the head
	for _, r := range g.Roles {
		workers += r.Want
	}
	if int(desired) != workers {
		return fmt.Sprintf("the operator desires %d workers, the gang wants %d", desired, workers)
	}
	return ""
}

func (c *kubeRay) until(t *testing.T, done func(context.Context) bool, what func() string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		return done(ctx), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what(), err)
	}
}

func rolesOf(g gangs.Gang) map[string]counts {
	roles := map[string]counts{}
	for _, r := range g.Roles {
		roles[r.Name] = counts{r.Min, r.Want}
	}
	return roles
}

// podsOf counts the live members of each role.
func podsOf(g gangs.Gang, members []gangs.Member) map[string]int {
	pods := map[string]int{}
	for _, m := range members {
		if g.Has(m) && gangs.Live(m.Pod) {
			pods[m.Role]++
		}
	}
	return pods
}

func wantedPods(want map[string]counts) map[string]int {
	pods := map[string]int{}
	for role, n := range want {
		if n.Want > 0 {
			pods[role] = n.Want
		}
	}
	return pods
}
