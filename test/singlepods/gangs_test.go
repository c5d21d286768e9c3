// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package singlepods

import (
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/workloads"
)

// sources has, for each source of gangs, a function that creates a gang of three members. Jobs and
// JobSets are missing: the nodes here complete their pods at once.
var sources = map[string]func(*env){
	"ganglabel": func(e *env) {
		for i := range 3 {
			e.pod(fmt.Sprintf("g-%d", i), labels("dovetail.dev/gang-name", "g"), annotations("dovetail.dev/gang-min", "3"))
		}
	},
	"statefulset": func(e *env) {
		e.Create("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: g}, spec: {replicas: 3, podManagementPolicy: Parallel, serviceName: g, selector: {matchLabels: {app: g}}, " +
			"template: {metadata: {labels: {app: g, dovetail.dev/gang-name: g}, annotations: {dovetail.dev/gang-min: '3'}}, spec: " + podOf60 + "}}}")
	},
	"podgroup": func(e *env) {
		e.Create("{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: g}, spec: {minMember: 3}}")
		for i := range 3 {
			e.pod(fmt.Sprintf("g-%d", i), labels("scheduling.x-k8s.io/pod-group", "g"))
		}
	},
	"volcano": func(e *env) {
		e.install(workloads.VolcanoPodGroup.Resource, "PodGroup")
		e.Create("{apiVersion: scheduling.volcano.sh/v1beta1, kind: PodGroup, metadata: {name: g}, spec: {minMember: 3}}")
		for i := range 3 {
			e.pod(fmt.Sprintf("g-%d", i), annotations("scheduling.k8s.io/group-name", "g", "volcano.sh/task-spec", "worker"))
		}
	},
	"yunikorn": func(e *env) {
		list := `[{"name":"executor","minMember":3,"minResource":{"cpu":"60"}}]`
		for i := range 3 {
			e.pod(fmt.Sprintf("g-%d", i), labels("applicationId", "g"),
				annotations("yunikorn.apache.org/task-group-name", "executor", "yunikorn.apache.org/task-groups", list))
		}
	},
	"kueue": func(e *env) {
		for i := range 3 {
			e.pod(fmt.Sprintf("g-%d", i), labels("kueue.x-k8s.io/queue-name", "user", "kueue.x-k8s.io/managed", "true", "kueue.x-k8s.io/pod-group-name", "g"),
				annotations("kueue.x-k8s.io/pod-group-total-count", "3", "kueue.x-k8s.io/role-hash", "2e85e4"))
		}
	},
	"leaderworkerset": func(e *env) {
		e.install(workloads.LeaderWorkerSet.Resource, "LeaderWorkerSet")
		e.Create("{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {name: g}, spec: {replicas: 1, startupPolicy: LeaderCreated, leaderWorkerTemplate: {size: 3}}}")
		for i := range 3 {
			name, more := "g-0", []string{"leaderworkerset.sigs.k8s.io/size", "3"}
			if i > 0 {
				name, more = fmt.Sprintf("g-0-%d", i), append(more, "leaderworkerset.sigs.k8s.io/leader-name", "g-0")
			}
			e.pod(name, annotations(more...), labels("leaderworkerset.sigs.k8s.io/name", "g", "leaderworkerset.sigs.k8s.io/group-index", "0",
				"leaderworkerset.sigs.k8s.io/worker-index", strconv.Itoa(i), "leaderworkerset.sigs.k8s.io/group-key", "b2a5d1f0"))
		}
	},
	"raycluster": func(e *env) {
		template := "template: {spec: " + podOf60 + "}"
		e.Create("{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: g}, spec: {rayVersion: 2.46.0, headGroupSpec: {rayStartParams: {}, " + template +
			"}, workerGroupSpecs: [{groupName: w, replicas: 2, minReplicas: 2, maxReplicas: 2, rayStartParams: {}, " + template + "}]}}")
	},
	"podgroup of Kubernetes, mode all": func(e *env) { e.kubernetesGroup("disruptionMode: {all: {}}, ") },
}

// podOf60 is the spec of a pod that fills a node.
const podOf60 = "{schedulerName: dovetail, terminationGracePeriodSeconds: 0, containers: [{name: main, image: registry.k8s.io/pause, resources: {requests: {cpu: 60}}}]}"

// kubernetesGroup creates a PodGroup of scheduling.k8s.io with three pods.
func (e *env) kubernetesGroup(mode string) {
	e.Helper()
	e.Create("{apiVersion: scheduling.k8s.io/v1beta1, kind: PodGroup, metadata: {name: g}, spec: {" + mode + "schedulingPolicy: {gang: {minCount: 3}}}}")
	for i := range 3 {
		e.pod(fmt.Sprintf("g-%d", i), func(p *corev1.Pod) {
			p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &[]string{"g"}[0]}
		})
	}
}

// gang creates the gang and returns its three members once they have nodes.
func (e *env) gang(create func(*env)) []types.UID {
	e.Helper()
	create(e)
	var members []types.UID
	e.Eventually("the gang has nodes", func() bool {
		members = nil
		for uid, pod := range e.running() {
			if pod.Name != "other" {
				members = append(members, uid)
			}
		}
		return len(members) == 3
	})
	return members
}

// A single pod of higher priority ends a single pod although the gang has a lower priority. Where
// only the gang can give way, all its members end.
func TestSinglePodsDoNotBreakGangs(t *testing.T) {
	for name, create := range sources {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			other := e.single("other", priority(10))
			members := e.gang(create)
			e.single("first", priority(1000))
			e.gone(other.UID)
			e.stay(members...)
			e.preempted("other", "evicted for pod "+e.Namespace+"/first of priority 1000, which needs its room")
			e.single("second", priority(1000))
			e.gone(members...)
		})
	}
}

// Members of a PodGroup with disruption mode single end one by one.
func TestPodGroupWithModeSingle(t *testing.T) {
	e := newEnv(t)
	other := e.single("other", priority(10))
	members := e.gang(func(e *env) { e.kubernetesGroup("disruptionMode: {single: {}}, ") })
	e.single("first", priority(1000))
	e.gone(other.UID)
	e.stay(members...)
}

// Members beyond the minimum end before the gang does.
func TestSurplusMembersGoFirst(t *testing.T) {
	e := newEnv(t)
	for i := range nodes {
		e.pod(fmt.Sprintf("g-%d", i), labels("dovetail.dev/gang-name", "g"), annotations("dovetail.dev/gang-min", "3"))
	}
	e.Eventually("all members have nodes", func() bool { return len(e.running()) == nodes })
	e.single("first", priority(1000))
	e.Eventually("the minimum of the gang runs beside the pod", func() bool { return len(e.running()) == nodes })
	e.Never("the gang is below its minimum", func() bool { return e.Bound("dovetail.dev/gang-name=g") < 3 })
}

// PodDisruptionBudgets are respected, also for the whole gang.
func TestBudgetsProtect(t *testing.T) {
	e := newEnv(t)
	other := e.single("other", priority(10), labels("keep", "yes"))
	members := e.gang(sources["podgroup"])
	for name, selector := range map[string]string{"gang": "scheduling.x-k8s.io/pod-group: g", "other": "keep: 'yes'"} {
		e.Create("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: " + name + "}, spec: {maxUnavailable: 0, selector: {matchLabels: {" + selector + "}}}}")
	}
	e.pod("first", priority(1000))
	e.Never("a protected pod is evicted", func() bool { return len(e.running()) != nodes })
	e.stay(append(members, other.UID)...)
}
