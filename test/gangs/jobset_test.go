// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// jobSetScenarios run on the real JobSet controller. KWOK completes the pods of
// Jobs as soon as they run, so that what depends on them goes on.
var jobSetScenarios = map[string]scenario{
	"jobset/any-order":          jobSetAnyOrder,
	"jobset/in-order":           jobSetInOrder,
	"jobset/depends-on":         jobSetDependsOn,
	"jobset/exclusive-topology": jobSetExclusive,
	"podgroup/trainjob":         trainJob,
}

// replicatedJob is a replicatedJob of so many Jobs of so many pods.
func replicatedJob(name string, replicas, pods int, more, podMeta string) string {
	return fmt.Sprintf("{name: %s, replicas: %d, %stemplate: {spec: {parallelism: %d, completions: %d, template: {metadata: {%s}, spec: {%s}}}}}",
		name, replicas, more, pods, pods, podMeta, podOfJob)
}

func (e *env) createJobSet(name, meta, spec string, jobs ...string) {
	e.Helper()
	e.Create(fmt.Sprintf("{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: %s%s}, spec: {%sreplicatedJobs: [%s]}}",
		name, meta, spec, strings.Join(jobs, ", ")))
}

func jobSetAnyOrder(e *env) {
	e.createJobSet("a", "", "", replicatedJob("driver", 1, 1, "", ""), replicatedJob("workers", 2, 3, "", ""))
	e.placed(gangs.JobSetKey(e.Namespace, "a"), map[string]int{"driver": 1, "workers": 6})
}

func jobSetInOrder(e *env) {
	e.createJobSet("a", "", "startupPolicy: {startupPolicyOrder: InOrder}, ", replicatedJob("driver", 1, 1, "", ""), replicatedJob("workers", 2, 3, "", ""))
	e.placed(gangs.JobSetKey(e.Namespace, "a"), map[string]int{"driver": 1, "workers": 6})
}

func jobSetDependsOn(e *env) {
	e.createJobSet("a", "", "", replicatedJob("fetch", 1, 2, "", ""),
		replicatedJob("train", 1, 4, "dependsOn: [{name: fetch, status: Complete}], ", ""))
	e.placed(gangs.JobSetKey(e.Namespace, "a"), map[string]int{"fetch": 2, "train": 4})
}

// jobSetExclusive: JobSet's webhook refuses the other pods of a Job until the first
// has a node, and then ties them to the leaf of that node.
func jobSetExclusive(e *env) {
	e.createJobSet("a", ", annotations: {alpha.jobset.sigs.k8s.io/exclusive-topology: network.topology.nvidia.com/leaf}", "", replicatedJob("workers", 2, 3, "", ""))
	first := func(p *corev1.Pod) bool { return p.Labels["batch.kubernetes.io/job-completion-index"] == "0" }
	e.alone(2, first)
	e.placed(gangs.JobSetKey(e.Namespace, "a"), map[string]int{"workers": 4})
}

// trainJob is what Kubeflow Trainer makes of a TrainJob with the coscheduling
// policy and a dataset: a PodGroup and a JobSet of its name, with the label of the
// PodGroup on all pods. minMember counts the initialiser too.
func trainJob(e *env) {
	e.install(schema.GroupVersionResource{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainjobs"}, "TrainJob")
	owner := e.Create("{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, metadata: {name: llm}, spec: {}}")
	owned := fmt.Sprintf(", ownerReferences: [{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, name: llm, uid: %s, controller: true}]", owner.GetUID())
	e.Create(strings.Replace(podGroup("llm", 4), "name: llm", "name: llm"+owned, 1))
	label := "labels: {scheduling.x-k8s.io/pod-group: llm}"
	e.createJobSet("llm", owned, "", replicatedJob("dataset-initializer", 1, 1, "", label),
		replicatedJob("node", 1, 3, "dependsOn: [{name: dataset-initializer, status: Complete}], ", label))
	e.placed(gangs.CoschedulingKey(e.Namespace, "llm"), map[string]int{"node": 3})
	e.alone(1, func(p *corev1.Pod) bool { return strings.HasPrefix(p.Name, "llm-dataset-initializer-") })
}
