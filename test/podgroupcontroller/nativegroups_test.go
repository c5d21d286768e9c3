// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroupcontroller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

var rayClusters = schema.GroupVersionResource{Group: "ray.io", Version: "v1", Resource: "rayclusters"}

// marked is what the pod templates of a gang say to be in a PodGroup.
const marked = `metadata: {labels: {dovetail.dev/native-gang: "true"}}`

func rayTemplate(spec string) string {
	return fmt.Sprintf("rayStartParams: {}, template: {%s, spec: {%s, containers: [{name: ray, image: rayproject/ray:2.46.0}]}}", marked, spec)
}

// A RayCluster whose templates ask for it runs in a PodGroup of Kubernetes: KubeRay
// makes the pods, admission names the group on them, Dovetail makes the group.
func TestRayClusterRunsInAPodGroup(t *testing.T) {
	e := newEnv(t, nil)
	e.priorityClass("native-high", 1000)
	template := rayTemplate("schedulerName: dovetail, priorityClassName: native-high")
	cluster := e.Create(fmt.Sprintf(`{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: a, annotations: {dovetail.dev/topology-required: leaf}},
		spec: {headGroupSpec: {%s}, workerGroupSpecs: [{groupName: w, replicas: 3, minReplicas: 0, maxReplicas: 9, %s}]}}`, template, template))
	group := gangs.PodGroupName("a", cluster.GetUID())

	e.inGroup(group, 4)
	e.groupSays(group, 4)
	made, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Get(e.Context(), group, metav1.GetOptions{})
	if err != nil {
		e.Fatal(err)
	}
	if owner := metav1.GetControllerOf(made); owner == nil || owner.UID != cluster.GetUID() {
		e.Errorf("the controller of PodGroup %s is %v", group, owner)
	}
	if made.Spec.PriorityClassName != "native-high" || made.Annotations[gangs.RequiredAnnotation] != "leaf" {
		e.Errorf("PodGroup %s has priority class %q and annotations %v", group, made.Spec.PriorityClassName, made.Annotations)
	}

	e.scale("a", 5)
	e.inGroup(group, 6)
	e.groupSays(group, 6)
	e.scale("a", 1)
	e.inGroup(group, 2)
	e.groupSays(group, 2)

	if err := e.Dynamic.Resource(rayClusters).Namespace(e.Namespace).Delete(e.Context(), "a", metav1.DeleteOptions{}); err != nil {
		e.Fatal(err)
	}
	e.Until("the PodGroup goes with its owner", func(ctx context.Context) string {
		_, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Get(ctx, group, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		return fmt.Sprintf("it is there, or nobody knows: %v", err)
	})
}

// The gate that these tests run with is the one that was asked for, and the groups are
// placed by whom it says: without it they are gangs of Dovetail's own like any other.
func TestGateIsAsAsked(t *testing.T) {
	e := newEnv(t, nil)
	gates, err := e.Cluster.Gates(t.Context(), localcluster.Dovetail)
	if err != nil {
		t.Fatal(err)
	}
	on := gate != "false"
	if gates["GenericWorkload"] != on {
		t.Fatalf("feature gate GenericWorkload is %v, want %v", gates["GenericWorkload"], on)
	}
	template := rayTemplate("schedulerName: dovetail")
	cluster := e.Create(fmt.Sprintf(`{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: b}, spec: {headGroupSpec: {%s}, workerGroupSpecs: [{groupName: w, replicas: 2, minReplicas: 0, maxReplicas: 9, %s}]}}`,
		template, template))
	group := gangs.PodGroupName("b", cluster.GetUID())
	e.inGroup(group, 3)
	metrics, err := e.Cluster.Metrics(t.Context(), localcluster.Dovetail)
	if err != nil {
		t.Fatal(err)
	}
	const count = `dovetail_gangs{profile="dovetail",source="schedulinggroup"} `
	if ours := strings.Contains(metrics, count) && !strings.Contains(metrics, count+"0"); ours == on {
		t.Errorf("with the gate %v Dovetail counts the PodGroup among its own gangs: %v", on, ours)
	}
	e.Until("the PodGroup has the condition of the scheduler's own cycle, where the gate is on", func(ctx context.Context) string {
		made, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Get(ctx, group, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if meta.IsStatusConditionTrue(made.Status.Conditions, "PodGroupInitiallyScheduled") != on {
			return fmt.Sprintf("conditions %v", made.Status.Conditions)
		}
		return ""
	})
}

// Kubernetes completes the pods of a Job here as soon as they run, so the group's
// first size is known by the event alone.
func TestJobSetRunsInAPodGroup(t *testing.T) {
	e := newEnv(t, nil)
	set := e.Create(fmt.Sprintf(`{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: train}, spec: {replicatedJobs: [{name: w, replicas: 2,
		template: {spec: {parallelism: 2, completions: 2, template: {%s, spec: {schedulerName: dovetail, restartPolicy: Never, containers: [{name: main, image: registry.k8s.io/pause}]}}}}}]}}`, marked))
	group := gangs.PodGroupName("train", set.GetUID())
	e.inGroup(group, 4)
	e.Until("the JobSet says how large its group was made", func(context.Context) string {
		want := fmt.Sprintf("JobSet train: PodGroupCreated: Made PodGroup %s for jobset %s/train: 4 pods start together", group, e.Namespace)
		if notes := e.Events(); !slices.Contains(notes, want) {
			return fmt.Sprintf("want %q in %q", want, notes)
		}
		return ""
	})
}

// A template that does not ask spoils it for all, and the RayCluster says so.
func TestHalfMarkedRayClusterSaysSo(t *testing.T) {
	e := newEnv(t, nil)
	template := rayTemplate("schedulerName: dovetail")
	e.Create(fmt.Sprintf(`{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: half}, spec: {headGroupSpec: {%s}, workerGroupSpecs: [{groupName: w, replicas: 1, minReplicas: 0, maxReplicas: 9, %s}]}}`,
		template, strings.Replace(template, marked+", ", "", 1)))
	e.Until("an event on the RayCluster", func(context.Context) string {
		notes := e.Events()
		if slices.ContainsFunc(notes, func(note string) bool {
			return strings.HasPrefix(note, "RayCluster half: PodGroupProblem: ") && strings.HasSuffix(note, "it does on that of the head, and not on that of worker group w")
		}) {
			return ""
		}
		return fmt.Sprintf("%q", notes)
	})
}

// AI Runway makes a RayService of a ModelDeployment and passes no scheduler name.
// In a namespace with the label its pods go to Dovetail all the same, as one gang.
func TestRayServiceOfAIRunwayGoesToDovetail(t *testing.T) {
	e := newEnv(t, map[string]string{"dovetail.dev/schedule": "true"})
	template := `rayStartParams: {}, template: {metadata: {labels: {airunway.ai/model-deployment: llama}}, spec: {containers: [{name: ray, image: rayproject/ray:2.46.0}]}}`
	e.Create(fmt.Sprintf(`{apiVersion: ray.io/v1, kind: RayService, metadata: {name: llama, labels: {airunway.ai/model-deployment: llama, app.kubernetes.io/managed-by: airunway}},
		spec: {serveConfigV2: 'applications: []', rayClusterConfig: {headGroupSpec: {%s}, workerGroupSpecs: [{groupName: gpu-workers, replicas: 2, minReplicas: 2, maxReplicas: 2, numOfHosts: 1, %s}]}}}`, template, template))
	e.inGroup("", 3)
	for _, pod := range e.Pods("") {
		if pod.Spec.SchedulerName != "dovetail" {
			e.Errorf("pod %s has scheduler %s", pod.Name, pod.Spec.SchedulerName)
		}
	}
	e.Until("the gang is placed as one", func(context.Context) string {
		notes := e.Events()
		if slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, ": GangPlaced: ") }) {
			return ""
		}
		return fmt.Sprintf("%q", notes)
	})
	if got := e.dryRun(e.Context(), plainPod(map[string]string{"dovetail.dev/schedule": "false"})).Spec.SchedulerName; got != "default-scheduler" {
		e.Errorf("a pod that is left out goes to %s", got)
	}
	other := plainPod(nil)
	other.Spec.SchedulerName = "somebody"
	if got := e.dryRun(e.Context(), other).Spec.SchedulerName; got != "somebody" {
		e.Errorf("a pod of another scheduler goes to %s", got)
	}
}

// The policies and the controller compute the same name, whatever the owner's is;
// and who is in no gang gets none.
func TestAdmissionNamesTheGroupOfTheController(t *testing.T) {
	e := newEnv(t, nil)
	const uid = types.UID("0d5e6b1c-6f0e-4f2c-9d3b-0c9f6c2f3b1a")
	for _, owner := range []string{"a", "a.b.c", strings.Repeat("a", 216), strings.Repeat("a", 253), strings.Repeat("a", 215) + "." + strings.Repeat("b", 37)} {
		if got, want := harness.GroupOf(e.dryRun(e.Context(), rayPod(owner, uid))), gangs.PodGroupName(owner, uid); got != want {
			e.Errorf("a pod of RayCluster %s names group %q, want %q", owner, got, want)
		}
	}
	if got, want := harness.GroupOf(e.dryRun(e.Context(), jobSetPod("a.b", uid))), gangs.PodGroupName("a.b", uid); got != want {
		e.Errorf("a pod of a JobSet names group %q, want %q", got, want)
	}
	set := func(key, value string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Labels[key] = value } }
	outside := map[string]struct {
		pod    *corev1.Pod
		change func(*corev1.Pod)
	}{
		"unmarked":             {rayPod("a", uid), func(p *corev1.Pod) { delete(p.Labels, gangs.MakePodGroupLabel) }},
		"marked with no":       {rayPod("a", uid), set(gangs.MakePodGroupLabel, "false")},
		"Redis cleanup":        {rayPod("a", uid), set("ray.io/node-type", "redis-cleanup")},
		"of nobody":            {rayPod("a", uid), func(p *corev1.Pod) { p.OwnerReferences = nil }},
		"of a Job":             {rayPod("a", uid), func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "Job" }},
		"initialiser":          {jobSetPod("a", uid), set("jobset.sigs.k8s.io/replicatedjob-name", "model-initializer")},
		"initialiser by label": {jobSetPod("a", uid), set("trainer.kubeflow.org/trainjob-ancestor-step", "dataset-initializer")},
		"exclusive placement": {jobSetPod("a", uid), func(p *corev1.Pod) {
			p.Annotations = map[string]string{"alpha.jobset.sigs.k8s.io/exclusive-topology": "rack"}
		}},
	}
	for name, tc := range outside {
		tc.change(tc.pod)
		got := e.dryRun(e.Context(), tc.pod)
		if harness.GroupOf(got) != "" || got.Spec.SchedulerName != "default-scheduler" {
			e.Errorf("pod %s: group %q, scheduler %q", name, harness.GroupOf(got), got.Spec.SchedulerName)
		}
	}
}

// inGroup waits until there are so many pods, all name the group and all have
// nodes.
func (e *env) inGroup(group string, n int) {
	e.Helper()
	e.Until(fmt.Sprintf("%d pods in group %q have nodes", n, group), func(context.Context) string {
		pods, placed := e.Pods(""), 0
		for i := range pods {
			if harness.GroupOf(&pods[i]) == group && pods[i].Spec.NodeName != "" {
				placed++
			}
		}
		if len(pods) == n && placed == n {
			return ""
		}
		return fmt.Sprintf("%d of %d do", placed, len(pods))
	})
}

func (e *env) groupSays(group string, minCount int32) {
	e.Helper()
	e.Until(fmt.Sprintf("PodGroup %s has minCount %d", group, minCount), func(ctx context.Context) string {
		made, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Get(ctx, group, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if gang := made.Spec.SchedulingPolicy.Gang; gang == nil || gang.MinCount != minCount {
			return fmt.Sprintf("it has %+v", gang)
		}
		return ""
	})
}

func (e *env) scale(name string, replicas int64) {
	e.Helper()
	e.Until(fmt.Sprintf("%s is asked for %d workers", name, replicas), func(ctx context.Context) string {
		client := e.Dynamic.Resource(rayClusters).Namespace(e.Namespace)
		u, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		groups, _, err := unstructured.NestedSlice(u.Object, "spec", "workerGroupSpecs")
		if err != nil {
			return err.Error()
		}
		groups[0].(map[string]any)["replicas"] = replicas
		if err := unstructured.SetNestedSlice(u.Object, groups, "spec", "workerGroupSpecs"); err != nil {
			return err.Error()
		}
		if _, err := client.Update(ctx, u, metav1.UpdateOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (e *env) priorityClass(name string, value int32) {
	e.Helper()
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
	if _, err := e.Client.SchedulingV1().PriorityClasses().Create(e.Context(), class, metav1.CreateOptions{}); err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		if err := e.Client.SchedulingV1().PriorityClasses().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			e.Error(err)
		}
	})
}

func plainPod(labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "try-", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause"}}},
	}
}

// rayPod is a worker as KubeRay makes it for the RayCluster of that name.
func rayPod(owner string, uid types.UID) *corev1.Pod {
	pod := plainPod(map[string]string{gangs.MakePodGroupLabel: "true", "ray.io/node-type": "worker"})
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "ray.io/v1", Kind: "RayCluster", Name: owner, UID: uid, Controller: new(true)}}
	return pod
}

// jobSetPod is a pod as a Job of the JobSet of that name has it.
func jobSetPod(set string, uid types.UID) *corev1.Pod {
	return plainPod(map[string]string{gangs.MakePodGroupLabel: "true", "jobset.sigs.k8s.io/jobset-name": set, "jobset.sigs.k8s.io/jobset-uid": string(uid)})
}
