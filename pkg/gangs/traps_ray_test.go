// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestTrapRaySubmitter(t *testing.T) {
	submitter := func(changes ...change) *corev1.Pod {
		return pod("submitter", append([]change{controlledBy("batch/v1", "Job", "rayjob", "j")}, changes...)...)
	}
	known := with("rayjob", job("rayjob", "j", 1, nil))
	ray := clusterOnly(rayCluster(workers("w", 2)))
	ray.jobs = known
	list := `[{"name":"headgroup","minMember":1},{"name":"w","minMember":2},{"name":"submittergroup","minMember":1}]`
	yunikorn := func(group string) change { return annotation("yunikorn.apache.org/task-group-name", group) }
	play(t, map[string]scene{
		"without a batch scheduler its Job makes it": {
			objects: ray,
			pods:    append(manyWorkers("w", 2), head("h"), submitter()),
			want:    outlook{Alone: []string{"submitter"}, Key: "raycluster ml/a", Starts: map[string]int{"headgroup": 1, "w": 2}, Must: 3},
		},
		"in volcano mode it names the PodGroup of the cluster": {
			objects: ray,
			pods: append(manyWorkers("w", 2, annotation("scheduling.k8s.io/group-name", "ray-rayjob-pg"), annotation("volcano.sh/task-spec", "w")),
				head("h", annotation("scheduling.k8s.io/group-name", "ray-rayjob-pg"), annotation("volcano.sh/task-spec", "headgroup")),
				submitter(annotation("scheduling.k8s.io/group-name", "ray-rayjob-pg"), annotation("volcano.sh/task-spec", "submittergroup"))),
			want: outlook{Alone: []string{"submitter"}, Key: "raycluster ml/a", Starts: map[string]int{"headgroup": 1, "w": 2}, Must: 3},
		},
		"in yunikorn mode the list of groups counts it": {
			objects: objects{jobs: known},
			pods: append(manyWorkers("w", 2, yunikorn("w"), taskGroups(list)),
				head("h", yunikorn("headgroup"), taskGroups(list)),
				submitter(yunikorn("submittergroup"), taskGroups(list), label("applicationId", "x"))),
			want: outlook{Alone: []string{"submitter"}, Key: "yunikorn ml/a", Starts: map[string]int{"headgroup": 1, "w": 2}, Must: 3},
		},
	})
}

func TestTrapRedisCleanup(t *testing.T) {
	play(t, map[string]scene{
		"its Job makes it when the cluster is gone": {
			pods: []*corev1.Pod{pod("r", controlledBy("batch/v1", "Job", "a-redis-cleanup", "j"), nodeType("redis-cleanup"), label("ray.io/cluster", "a"))},
			want: outlook{Alone: []string{"r"}},
		},
		"with the label of a PodGroup": {
			pods: []*corev1.Pod{pod("r", nodeType("redis-cleanup"), inGroup("a"))},
			want: outlook{Alone: []string{"r"}},
		},
	})
}

func hosts(n int32) func(*rayv1.WorkerGroupSpec) {
	return func(g *rayv1.WorkerGroupSpec) { g.NumOfHosts = n }
}

func floor(n int32) func(*rayv1.WorkerGroupSpec) {
	return func(g *rayv1.WorkerGroupSpec) { g.MinReplicas = &n }
}

func TestTrapRayAutoscaledGroup(t *testing.T) {
	single := clusterOnly(autoscaled(rayCluster(group(workers("w", 5), floor(2)))))
	double := clusterOnly(autoscaled(rayCluster(group(group(workers("w", 3), floor(1)), hosts(2)))))
	play(t, map[string]scene{
		"minReplicas are the gang, and more may join it at once": {
			objects: single,
			pods:    append(manyWorkers("w", 5), head("h")),
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"headgroup": 1, "w": 5}, Must: 3},
		},
		"minReplicas suffice": {
			objects: single,
			pods:    append(manyWorkers("w", 2), head("h")),
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"headgroup": 1, "w": 2}, Must: 3},
		},
		"of replicas with several hosts the base gang goes first": {
			objects: double,
			pods:    append(manyWorkers("w", 6), head("h")),
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"headgroup": 1, "w": 2}, Must: 3},
		},
		"a later replica starts with all of its hosts": {
			objects: double,
			pods:    together([]*corev1.Pod{head("h", bound)}, manyWorkers("w", 2, bound), named("new", 3, ofCluster, nodeType("worker"), label("ray.io/group", "w"))),
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"w": 2}, Must: 2},
		},
		"and not with one of them": {
			objects: double,
			pods:    append(manyWorkers("w", 2, bound), head("h", bound), worker("new", "w")),
			want:    outlook{Key: "raycluster ml/a", Says: "waiting for 1 of 2 members of role w of raycluster ml/a, which start together"},
		},
		"a host that comes back to its replica does not wait": {
			objects: double,
			pods:    append(manyWorkers("w", 3, bound), head("h", bound), worker("new", "w")),
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"w": 1}, Must: 1},
		},
	})
}

// With KubeRay's feature gate RayMultiHostIndexing, pods carry the name of their replica.
// Hosts of two incomplete replicas do not make a complete one.
func TestTrapRayMultiHostReplica(t *testing.T) {
	o := clusterOnly(autoscaled(rayCluster(group(group(workers("w", 3), floor(0)), hosts(2)))))
	host := func(name, replica, index, host string, changes ...change) *corev1.Pod {
		return worker(name, "w", append([]change{
			label("ray.io/worker-group-replica-name", replica), label("ray.io/worker-group-replica-index", index), label("ray.io/replica-host-index", host),
		}, changes...)...)
	}
	play(t, map[string]scene{
		"halves of two replicas": {
			objects: o,
			pods:    []*corev1.Pod{head("h", bound), host("a", "w-x", "0", "0"), host("b", "w-y", "1", "0")},
			want:    outlook{Key: "raycluster ml/a", Says: "waiting for 2 of 2 members of role w of raycluster ml/a, which start together"},
		},
		"a half and a whole": {
			objects: o,
			pods:    []*corev1.Pod{head("h", bound), host("a", "w-x", "0", "0"), host("b", "w-y", "1", "0"), host("c", "w-y", "1", "1")},
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"w": 2}, Must: 2},
		},
		"the other half of one that stands": {
			objects: o,
			pods:    []*corev1.Pod{head("h", bound), host("a", "w-x", "0", "0"), host("b", "w-y", "1", "0", bound), host("c", "w-y", "1", "1")},
			want:    outlook{Key: "raycluster ml/a", Starts: map[string]int{"w": 1}, Must: 1},
		},
	})
}
