// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/harness"
)

// groupScenarios are those of groups whose controllers cannot be built here. Their
// objects and pods are made as the controllers make them, field by field.
var groupScenarios = map[string]scenario{
	"podgroup/by-hand":               podGroupByHand,
	"podgroup/pytorchjob":            pyTorchJob,
	"podgroup/mpijob":                mpiJob,
	"volcano/tasks":                  volcanoTasks,
	"yunikorn/application":           yuniKornApplication,
	"kueue/pod-group":                kueuePodGroup,
	"leaderworkerset/leader-created": leaderCreated,
	"leaderworkerset/leader-ready":   leaderReady,
}

func podGroup(name string, minMember int) string {
	return fmt.Sprintf("{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: %s}, spec: {minMember: %d}}", name, minMember)
}

func podGroupByHand(e *env) {
	e.Create(podGroup("a", 3))
	for i := range 2 {
		e.createPod(fmt.Sprintf("p-%d", i), labels("scheduling.x-k8s.io/pod-group", "a"))
	}
	e.Refused("", 2, "waiting for 1 of 3 members of podgroup "+e.Namespace+"/a: spec.minMember is 3, and 2 exist so far")
	e.createPod("p-2", labels("scheduling.x-k8s.io/pod-group", "a"))
	e.placed(gangs.CoschedulingKey(e.Namespace, "a"), map[string]int{"pods": 3})
}

// kubeflowPod is a pod as the training operator and the MPI operator label it.
func (e *env) kubeflowPod(job, operator, part, jobRole string, index int) {
	e.Helper()
	pairs := []string{
		"scheduling.x-k8s.io/pod-group", job,
		"training.kubeflow.org/job-name", job,
		"training.kubeflow.org/operator-name", operator,
		"training.kubeflow.org/replica-type", part,
		"training.kubeflow.org/replica-index", strconv.Itoa(index),
	}
	if jobRole != "" {
		pairs = append(pairs, "training.kubeflow.org/job-role", jobRole)
	}
	e.createPod(fmt.Sprintf("%s-%s-%d", job, part, index), labels(pairs...))
}

func pyTorchJob(e *env) {
	e.Create(podGroup("bert", 4))
	e.kubeflowPod("bert", "pytorchjob-controller", "master", "master", 0)
	e.kubeflowPod("bert", "pytorchjob-controller", "worker", "", 0)
	e.kubeflowPod("bert", "pytorchjob-controller", "worker", "", 1)
	e.Refused("", 3, "waiting for 1 of 4 members")
	e.kubeflowPod("bert", "pytorchjob-controller", "worker", "", 2)
	e.placed(gangs.CoschedulingKey(e.Namespace, "bert"), map[string]int{"master": 1, "worker": 3})
}

func mpiJob(e *env) {
	e.Create(podGroup("pi", 3))
	e.kubeflowPod("pi", "mpi-operator", "worker", "worker", 0)
	e.kubeflowPod("pi", "mpi-operator", "worker", "worker", 1)
	e.Refused("", 2, "waiting for 1 of 3 members")
	e.kubeflowPod("pi", "mpi-operator", "launcher", "launcher", 0)
	e.placed(gangs.CoschedulingKey(e.Namespace, "pi"), map[string]int{"launcher": 1, "worker": 2})
}

// install creates the definition of a kind that no module here defines, and leaves it to later
// tests.
func (e *env) install(resource schema.GroupVersionResource, kind string) {
	e.Helper()
	definition := harness.LooseDefinition(e.T, resource.GroupResource(), kind, resource.Version)
	_, err := e.Of(harness.Definitions).Create(e.Context(), definition, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		e.Fatalf("installing %s: %v", kind, err)
	}
	e.Until(kind+" is served", func(ctx context.Context) string {
		_, err := e.Of(resource).List(ctx, metav1.ListOptions{})
		return harness.Text(err)
	})
}

func (e *env) volcanoPod(name, group, task string) {
	e.Helper()
	e.createPod(name, annotations("scheduling.k8s.io/group-name", group, "volcano.sh/task-spec", task))
}

// volcanoTasks: the kind is installed after the first pod was seen.
func volcanoTasks(e *env) {
	e.volcanoPod("worker-0", "a", "worker")
	e.volcanoPod("worker-1", "a", "worker")
	e.volcanoPod("worker-2", "a", "worker")
	e.Until("the pods say that nothing can declare their gang, or that nothing does", func(context.Context) string {
		why := harness.Unschedulable(&e.Pods("")[0])
		if why != "" {
			return ""
		}
		return "they say nothing"
	})
	e.install(workloads.VolcanoPodGroup.Resource, "PodGroup")
	e.Create("{apiVersion: scheduling.volcano.sh/v1beta1, kind: PodGroup, metadata: {name: a}, spec: {minMember: 3, minTaskMember: {ps: 1, worker: 2}}}")
	e.Refused("", 3, "waiting for 1 of 3 members")
	e.volcanoPod("ps-0", "a", "ps")
	e.placed(gangs.VolcanoKey(e.Namespace, "a"), map[string]int{"ps": 1, "worker": 3})
}

func yuniKornApplication(e *env) {
	list := `[{"name":"driver","minMember":1,"minResource":{"cpu":"1"}},{"name":"executor","minMember":2,"minResource":{"cpu":"1"}}]`
	app := labels("applicationId", "spark-1", "queue", "root.default")
	e.createPod("driver", app, annotations("yunikorn.apache.org/task-group-name", "driver", "yunikorn.apache.org/task-groups", list))
	e.createPod("exec-1", app, annotations("yunikorn.apache.org/task-group-name", "executor"))
	e.Refused("", 2, "waiting for 1 of 3 members of yunikorn "+e.Namespace+"/spark-1: 1 of role executor do not exist yet")
	e.createPod("exec-2", app, annotations("yunikorn.apache.org/task-group-name", "executor"))
	e.placed(gangs.YuniKornKey(e.Namespace, "spark-1"), map[string]int{"driver": 1, "executor": 2})
}

// kueuePodGroup: Kueue's webhook puts the gate on each pod, and Kueue takes it off
// when the group is admitted.
func kueuePodGroup(e *env) {
	gate := func(p *corev1.Pod) {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "kueue.x-k8s.io/admission"}}
	}
	for i := range 3 {
		e.createPod(fmt.Sprintf("p-%d", i), gate,
			labels("kueue.x-k8s.io/queue-name", "user", "kueue.x-k8s.io/managed", "true", "kueue.x-k8s.io/pod-group-name", "a"),
			annotations("kueue.x-k8s.io/pod-group-total-count", "3", "kueue.x-k8s.io/role-hash", "2e85e4"))
	}
	for i := range 3 {
		e.Edit(corev1.SchemeGroupVersion.WithResource("pods"), fmt.Sprintf("p-%d", i), func(u *unstructured.Unstructured) error {
			unstructured.RemoveNestedField(u.Object, "spec", "schedulingGates")
			return nil
		})
		if i == 1 {
			e.Refused("", 2, "waiting for 1 of 3 members of kueue "+e.Namespace+"/a: pod p-2 has scheduling gate kueue.x-k8s.io/admission")
		}
	}
	e.placed(gangs.KueueKey(e.Namespace, "a"), map[string]int{"pods": 3})
}

// lwsPod is a pod of the only group of a LeaderWorkerSet of three.
func (e *env) lwsPod(set string, index int) {
	e.Helper()
	name, more := set+"-0", []string{"leaderworkerset.sigs.k8s.io/size", "3"}
	if index > 0 {
		more = append(more, "leaderworkerset.sigs.k8s.io/leader-name", name)
		name = fmt.Sprintf("%s-%d", name, index)
	}
	e.createPod(name, annotations(more...), labels(
		"leaderworkerset.sigs.k8s.io/name", set,
		"leaderworkerset.sigs.k8s.io/group-index", "0",
		"leaderworkerset.sigs.k8s.io/worker-index", strconv.Itoa(index),
		"leaderworkerset.sigs.k8s.io/group-key", "b2a5d1f0",
		"leaderworkerset.sigs.k8s.io/template-revision-hash", "7d9c"))
}

func (e *env) createLWS(name, startupPolicy string) {
	e.Helper()
	e.install(workloads.LeaderWorkerSet.Resource, "LeaderWorkerSet")
	e.Create(fmt.Sprintf("{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {name: %s}, spec: {replicas: 1, startupPolicy: %s, leaderWorkerTemplate: {size: 3}}}", name, startupPolicy))
}

func leaderCreated(e *env) {
	e.createLWS("vllm", "LeaderCreated")
	e.lwsPod("vllm", 0)
	e.lwsPod("vllm", 1)
	e.Refused("", 2, "waiting for 1 of 3 members of leaderworkerset "+e.Namespace+"/vllm-0: 1 of role worker do not exist yet")
	e.lwsPod("vllm", 2)
	e.placed(gangs.LeaderWorkerSetKey(e.Namespace, "vllm-0"), map[string]int{"leader": 1, "worker": 2})
}

func leaderReady(e *env) {
	e.createLWS("vllm", "LeaderReady")
	key := gangs.LeaderWorkerSetKey(e.Namespace, "vllm-0")
	e.lwsPod("vllm", 0)
	e.placed(key, map[string]int{"leader": 1})
	e.lwsPod("vllm", 1)
	e.Until("the first worker says that it waits for the second", func(context.Context) string {
		for _, pod := range e.Pods("") {
			if pod.Name == "vllm-0-1" && strings.Contains(harness.Unschedulable(&pod), "waiting for 1 of 2 members of role worker of "+key.String()+", which start together") {
				return ""
			}
		}
		return fmt.Sprint(e.Pods("")[1].Status.Conditions)
	})
	e.lwsPod("vllm", 2)
	e.placed(key, map[string]int{"leader": 1, "worker": 2})
}
