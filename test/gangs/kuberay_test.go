// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

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
	c := newEnv(t)
	c.kubeRay("")
	t.Run("topology", func(t *testing.T) { c.withT(t).topology() })
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			c := c.withT(t)
			c.Create(fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: %s}, spec: %s}", name, shape.spec))
			c.complete(gangs.RayClusterKey(c.Namespace, name), shape.want)
		})
	}
}

// In this mode every pod names a PodGroup too, which is right until the cluster
// is resized and stale from then on.
func TestKubeRayInSchedulerPluginsMode(t *testing.T) {
	c := newEnv(t)
	c.kubeRay("scheduler-plugins")
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			c := c.withT(t)
			c.Create(fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: %s, labels: {ray.io/gang-scheduling-enabled: 'true'}}, spec: %s}", name, shape.spec))
			c.complete(gangs.RayClusterKey(c.Namespace, name), shape.want)
			for _, pod := range c.Pods("") {
				if pod.Labels["ray.io/cluster"] == name && pod.Labels[gangs.CoschedulingLabel] != name {
					t.Errorf("pod %s names PodGroup %q: this is not the mode that is tested", pod.Name, pod.Labels[gangs.CoschedulingLabel])
				}
			}
		})
	}
	t.Run("resized", func(t *testing.T) {
		c := c.withT(t)
		c.Edit(rayClusters, "plain", func(u *unstructured.Unstructured) error {
			groups, _, err := unstructured.NestedSlice(u.Object, "spec", "workerGroupSpecs")
			if err != nil {
				return err
			}
			groups[1].(map[string]any)["replicas"] = int64(1)
			return unstructured.SetNestedSlice(u.Object, groups, "spec", "workerGroupSpecs")
		})
		c.complete(gangs.RayClusterKey(c.Namespace, "plain"), map[string]counts{"headgroup": {1, 1}, "cpu": {2, 2}, "gpu": {1, 1}})
		group, err := c.watcher.CoschedulingGroup(c.Namespace, "plain")
		if err != nil || group.Spec.MinMember != 6 {
			t.Errorf("KubeRay's PodGroup was expected to keep its first minMember 6: %+v, %v", group, err)
		}
	})
}

// topology: a wish reaches the RayCluster that a RayJob or RayService creates,
// and one in a pod template reaches the pods.
func (c *env) topology() {
	workers := "groupName: w, replicas: 2, minReplicas: 0, maxReplicas: 9"
	c.Create(fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayJob, metadata: {name: job, annotations: {%s: leaf}}, spec: {entrypoint: sleep 1, rayClusterSpec: %s}}",
		gangs.RequiredAnnotation, spec("", workers)))
	c.Create(fmt.Sprintf("{apiVersion: ray.io/v1, kind: RayService, metadata: {name: service, annotations: {%s: rack}}, spec: {serveConfigV2: 'applications: []', rayClusterConfig: %s}}",
		gangs.PreferredAnnotation, spec("", workers)))
	inTemplate := strings.Replace(spec("", workers), "template: {spec", "template: {metadata: {annotations: {"+gangs.RequiredAnnotation+": spine}}, spec", 1)
	c.Create("{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: template}, spec: " + inTemplate + "}")

	want := map[string]gangs.Topology{
		"job":      {Required: "leaf"},
		"service":  {Preferred: "rack"},
		"template": {Required: "spine"},
	}
	for origin, topology := range want {
		c.Run(origin, func(t *testing.T) {
			c := c.withT(t)
			key := gangs.RayClusterKey(c.Namespace, c.rayClusterOf(origin))
			g := c.complete(key, map[string]counts{"headgroup": {1, 1}, "w": {2, 2}})
			if diff := cmp.Diff(topology, g.Topology); diff != "" {
				t.Errorf("topology (-want,+got):\n%s", diff)
			}
		})
	}
}

// complete waits until the gang is as wanted and whole, and the operator has
// nothing more to create; the pods must then be as many as the gang wants.
func (c *env) complete(key gangs.Key, want map[string]counts) gangs.Gang {
	c.Helper()
	var g gangs.Gang
	c.Until(key.String()+" (-want,+got)", func(ctx context.Context) string {
		members := c.members(key)
		var err error
		if g, err = c.sources.Gang(key, members); err != nil {
			return err.Error()
		}
		why := cmp.Diff(want, rolesOf(g)) + cmp.Diff(wantedPods(want), podsOf(g, members))
		if v := gangs.Check(g, members); !v.Complete() {
			why += v.Problem + v.Waiting
		}
		if why == "" {
			why = c.operatorView(ctx, key, g)
		}
		return why
	})
	return g
}

// operatorView compares with how many workers the operator itself says that it
// wants, once it has seen the present spec.
func (c *env) operatorView(ctx context.Context, key gangs.Key, g gangs.Gang) string {
	u, err := c.Of(rayClusters).Get(ctx, key.Name, metav1.GetOptions{})
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
