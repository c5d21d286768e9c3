// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/harness"
)

// kubernetesScenarios are those of kinds that are part of Kubernetes.
var kubernetesScenarios = map[string]scenario{
	"schedulinggroup/gang":  schedulingGroup,
	"schedulinggroup/basic": basicGroup,
	"job/template":          jobMarkedOnTemplate,
	"job/job":               jobMarkedOnItself,
	"job/unmarked":          jobWithoutMark,
	"ganglabel/statefulset": statefulSet,
}

func inSchedulingGroup(name string) change {
	return func(p *corev1.Pod) { p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &name} }
}

func schedulingGroup(e *env) {
	e.createPod("p-0", inSchedulingGroup("train"))
	e.Refused("", 1, "waiting for schedulinggroup "+e.Namespace+"/train, which does not exist")
	e.Create("{apiVersion: scheduling.k8s.io/v1beta1, kind: PodGroup, metadata: {name: train}, spec: {schedulingPolicy: {gang: {minCount: 3}}}}")
	e.createPod("p-1", inSchedulingGroup("train"))
	e.Refused("", 2, "waiting for 1 of 3 members of schedulinggroup "+e.Namespace+"/train: spec.schedulingPolicy.gang.minCount is 3, and 2 exist so far")
	e.createPod("p-2", inSchedulingGroup("train"))
	e.placed(gangs.PodGroupKey(e.Namespace, "train"), map[string]int{"pods": 3})
}

// basicGroup: the pod may be seen before the group, and must not be held for ever.
func basicGroup(e *env) {
	e.createPod("p-0", inSchedulingGroup("web"))
	e.Create("{apiVersion: scheduling.k8s.io/v1beta1, kind: PodGroup, metadata: {name: web}, spec: {schedulingPolicy: {basic: {}}}}")
	e.alone(1, func(*corev1.Pod) bool { return true })
}

const podOfJob = "containers: [{name: main, image: registry.k8s.io/pause}], restartPolicy: Never, schedulerName: dovetail"

func (e *env) createJob(name, meta, templateMeta string) {
	e.Helper()
	e.Create(fmt.Sprintf("{apiVersion: batch/v1, kind: Job, metadata: {name: %s%s}, spec: {parallelism: 3, completions: 3, completionMode: Indexed, template: {metadata: {%s}, spec: {%s}}}}",
		name, meta, templateMeta, podOfJob))
}

func jobMarkedOnTemplate(e *env) {
	e.createJob("train", "", "labels: {dovetail.dev/gang: 'true'}")
	e.placed(gangs.JobKey(e.Namespace, "train"), map[string]int{"pods": 3})
}

func jobMarkedOnItself(e *env) {
	e.createJob("train", ", annotations: {dovetail.dev/gang: 'true'}", "")
	e.placed(gangs.JobKey(e.Namespace, "train"), map[string]int{"pods": 3})
	e.createJob("wrong", ", annotations: {dovetail.dev/gang: 'yes'}", "")
	e.Until("the pods of a Job with a wrong mark say so", func(context.Context) string {
		said := 0
		for _, pod := range e.Pods("") {
			if strings.Contains(harness.Unschedulable(&pod), `annotation dovetail.dev/gang of job `+e.Namespace+`/wrong is "yes", but must be "true" or "false"`) {
				said++
			}
		}
		if said == 3 {
			return ""
		}
		return fmt.Sprintf("%d of 3 do", said)
	})
}

func jobWithoutMark(e *env) {
	e.createJob("many", "", "")
	e.alone(3, func(*corev1.Pod) bool { return true })
}

func statefulSet(e *env) {
	e.Create("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: serve}, spec: {replicas: 3, podManagementPolicy: Parallel, serviceName: serve, selector: {matchLabels: {app: serve}}, template: {metadata: {labels: {app: serve, dovetail.dev/gang-name: serve}, annotations: {dovetail.dev/gang-min: '4'}}, spec: {schedulerName: dovetail, containers: [{name: main, image: registry.k8s.io/pause}]}}}}")
	e.Refused("", 3, "waiting for 1 of 4 members of ganglabel "+e.Namespace+"/serve: annotation dovetail.dev/gang-min is 4, and 3 exist so far")
	e.Edit(appsv1.SchemeGroupVersion.WithResource("statefulsets"), "serve", func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedField(u.Object, int64(4), "spec", "replicas")
	})
	e.placed(gangs.LabelKey(e.Namespace, "serve"), map[string]int{"pods": 4})
}
