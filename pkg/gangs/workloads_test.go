// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// The fixtures below are pods and objects as each controller writes them.

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID("uid-of-" + name), CreationTimestamp: metav1.NewTime(epoch)}
}

// job returns a Job; nil completions are left unset.
func job(name string, uid types.UID, parallelism int32, completions *int32) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: meta(name)}
	j.UID = uid
	j.Spec.Parallelism, j.Spec.Completions = &parallelism, completions
	return j
}

// jobPod returns a pod of Job ml/a whose UID is uid-of-a.
func jobPod(index int, changes ...change) *corev1.Pod {
	return pod(fmt.Sprintf("a-%d", index), append([]change{
		controlledBy("batch/v1", "Job", "a", "uid-of-a"),
		label("batch.kubernetes.io/job-name", "a"),
		label("batch.kubernetes.io/job-completion-index", fmt.Sprint(index)),
		annotation("batch.kubernetes.io/job-completion-index", fmt.Sprint(index)),
	}, changes...)...)
}

// jobSet returns JobSet ml/a.
func jobSet(jobs ...gangs.ReplicatedJob) *gangs.JobSet {
	return &gangs.JobSet{ObjectMeta: meta("a"), Spec: gangs.JobSetSpec{ReplicatedJobs: jobs}}
}

func inOrder(set *gangs.JobSet) *gangs.JobSet {
	set.Spec.StartupPolicy = &gangs.JobSetStartupPolicy{StartupPolicyOrder: "InOrder"}
	return set
}

func complete(set *gangs.JobSet, job string, jobs int32) *gangs.JobSet {
	set.Status.ReplicatedJobsStatus = []gangs.ReplicatedJobStatus{{Name: job, Succeeded: jobs}}
	return set
}

// replicated returns a replicatedJob with the given numbers of Jobs, and of pods for each
// Job.
func replicated(name string, replicas, each int32, after ...string) gangs.ReplicatedJob {
	j := gangs.ReplicatedJob{Name: name, Replicas: &replicas}
	j.Template.Spec.Parallelism, j.Template.Spec.Completions = &each, &each
	for _, other := range after {
		j.DependsOn = append(j.DependsOn, gangs.JobSetDependency{Name: other})
	}
	return j
}

// jobSetPod returns a pod of JobSet ml/a.
func jobSetPod(job string, jobIndex, index int, changes ...change) *corev1.Pod {
	name := fmt.Sprintf("a-%s-%d", job, jobIndex)
	all := []change{controlledBy("batch/v1", "Job", name, types.UID("uid-of-"+name))}
	for key, value := range map[string]string{
		"jobset.sigs.k8s.io/jobset-name":           "a",
		"jobset.sigs.k8s.io/jobset-uid":            "uid-of-a",
		"jobset.sigs.k8s.io/replicatedjob-name":    job,
		"jobset.sigs.k8s.io/job-index":             fmt.Sprint(jobIndex),
		"jobset.sigs.k8s.io/job-global-index":      fmt.Sprint(jobIndex),
		"jobset.sigs.k8s.io/job-key":               "key-of-" + name,
		"batch.kubernetes.io/job-completion-index": fmt.Sprint(index),
	} {
		all = append(all, label(key, value), annotation(key, value))
	}
	return pod(fmt.Sprintf("%s-%d", name, index), append(all, changes...)...)
}

// jobSetPods returns all pods of the given number of Jobs of a replicatedJob.
func jobSetPods(job string, jobs, each int, changes ...change) []*corev1.Pod {
	var pods []*corev1.Pod
	for j := range jobs {
		for i := range each {
			pods = append(pods, jobSetPod(job, j, i, changes...))
		}
	}
	return pods
}

func exclusiveTopology(p *corev1.Pod) {
	annotation("alpha.jobset.sigs.k8s.io/exclusive-topology", "rack")(p)
}

// lwsPod returns a pod of group 0 of LeaderWorkerSet ml/a. A group has four pods.
func lwsPod(index int, changes ...change) *corev1.Pod {
	name := "a-0"
	all := []change{
		label("leaderworkerset.sigs.k8s.io/name", "a"),
		label("leaderworkerset.sigs.k8s.io/group-index", "0"),
		label("leaderworkerset.sigs.k8s.io/worker-index", fmt.Sprint(index)),
		label("leaderworkerset.sigs.k8s.io/group-key", "e1f6"),
		annotation("leaderworkerset.sigs.k8s.io/size", "4"),
	}
	if index > 0 {
		name = fmt.Sprintf("a-0-%d", index)
		all = append(all, annotation("leaderworkerset.sigs.k8s.io/leader-name", "a-0"))
	}
	return pod(name, append(all, changes...)...)
}

func lwsPods(n int, changes ...change) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = lwsPod(i, changes...)
	}
	return pods
}

func lws(startupPolicy string) *gangs.LeaderWorkerSet {
	return &gangs.LeaderWorkerSet{ObjectMeta: meta("a"), Spec: gangs.LeaderWorkerSetSpec{StartupPolicy: startupPolicy}}
}

// volcanoGroup returns Volcano PodGroup ml/a.
func volcanoGroup(minMember int32, tasks map[string]int32) *gangs.VolcanoPodGroup {
	return &gangs.VolcanoPodGroup{ObjectMeta: meta("a"), Spec: gangs.VolcanoPodGroupSpec{MinMember: minMember, MinTaskMember: tasks}}
}

func volcanoPods(task string, n int, changes ...change) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = pod(fmt.Sprintf("%s-%d", task, i), append([]change{
			annotation("scheduling.k8s.io/group-name", "a"), annotation("volcano.sh/task-spec", task),
		}, changes...)...)
	}
	return pods
}

// yuniKornPods returns pods of application a.
func yuniKornPods(group string, n int, changes ...change) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = pod(fmt.Sprintf("%s-%d", group, i), append([]change{
			label("applicationId", "a"), annotation("yunikorn.apache.org/task-group-name", group),
		}, changes...)...)
	}
	return pods
}

func taskGroups(list string) change { return annotation("yunikorn.apache.org/task-groups", list) }

// kubernetesGroup returns scheduling.k8s.io PodGroup ml/a.
func kubernetesGroup(minCount int32) *schedulingv1beta1.PodGroup {
	return &schedulingv1beta1.PodGroup{ObjectMeta: meta("a"), Spec: schedulingv1beta1.PodGroupSpec{
		SchedulingPolicy: schedulingv1beta1.PodGroupSchedulingPolicy{Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: minCount}},
	}}
}

func schedulingGroup(p *corev1.Pod) {
	p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: ptr("a")}
}

// named returns n pods with the changes, named after the prefix.
func named(prefix string, n int, changes ...change) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = pod(fmt.Sprintf("%s-%d", prefix, i), changes...)
	}
	return pods
}

func together(pods ...[]*corev1.Pod) []*corev1.Pod {
	var all []*corev1.Pod
	for _, p := range pods {
		all = append(all, p...)
	}
	return all
}
