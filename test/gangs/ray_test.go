// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/workloads"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// suspendGate lets worker groups be suspended, which the operator refuses
// otherwise.
const suspendGate = "--feature-gates=RayJobDeletionPolicy=true"

var rayClusters = workloads.RayCluster.Resource

// rayScenarios run on the real KubeRay operator. The pods' dashboards do not
// answer, so a RayJob comes as far as its submitter.
var rayScenarios = map[string]scenario{
	"raycluster/raycluster":         rayCluster,
	"raycluster/autoscaled":         rayAutoscaled,
	"raycluster/rayjob-k8sjob":      func(e *env) { rayJob(e, "K8sJobMode") },
	"raycluster/rayjob-http":        func(e *env) { rayJob(e, "HTTPMode") },
	"raycluster/rayjob-sidecar":     func(e *env) { rayJob(e, "SidecarMode") },
	"raycluster/rayjob-interactive": func(e *env) { rayJob(e, "InteractiveMode") },
	"raycluster/rayservice":         rayService,
	"raycluster/scheduler-plugins":  raySchedulerPlugins,
	"raycluster/volcano":            rayVolcano,
	"yunikorn/raycluster":           rayYuniKorn,
	"yunikorn/rayjob":               rayJobYuniKorn,
}

// kubeRayMode is the operator's -batch-scheduler as it runs in the shared cluster.
var kubeRayMode = "scheduler-plugins"

// kubeRay has the operator run in a mode.
func (e *env) kubeRay(mode string) {
	e.Helper()
	if mode == kubeRayMode {
		return
	}
	if err := e.Cluster.Terminate(localcluster.KubeRay); err != nil {
		e.Fatalf("ending the operator: %v", err)
	}
	if err := e.Cluster.StartComponent(e.Context(), localcluster.KubeRay, "-batch-scheduler="+mode); err != nil {
		e.Fatalf("starting the operator in mode %q: %v", mode, err)
	}
	kubeRayMode = mode
}

// forDovetail is spec with Dovetail's name in every template, as a user writes it
// where the operator is in no mode.
func forDovetail(fields string, groups ...string) string {
	return strings.ReplaceAll(spec(fields, groups...), "template: {spec: {", "template: {spec: {schedulerName: dovetail, ")
}

const twoWorkers = "groupName: w, replicas: 2, minReplicas: 2, maxReplicas: 9"

// headAndTwo are the pods of a cluster of twoWorkers.
var headAndTwo = map[string]int{"headgroup": 1, "w": 2}

func (e *env) createRay(kind, name, meta, spec string) {
	e.Helper()
	e.Create(fmt.Sprintf("{apiVersion: ray.io/v1, kind: %s, metadata: {name: %s%s}, spec: %s}", kind, name, meta, spec))
}

// gangLabel opts in to the gangs of KubeRay's modes.
const gangLabel = ", labels: {ray.io/gang-scheduling-enabled: 'true'}"

func rayCluster(e *env) {
	e.kubeRay("")
	e.createRay("RayCluster", "a", "", forDovetail("", twoWorkers))
	e.placed(gangs.RayClusterKey(e.Namespace, "a"), headAndTwo)
}

// rayAutoscaled: Ray's autoscaler asks for replicas by patching their number. Each
// of two hosts joins whole, in the domain where the gang runs.
func rayAutoscaled(e *env) {
	e.kubeRay("")
	large := "image: rayproject/ray:2.46.0, resources: {requests: {cpu: 20}}" // one on a node of 32
	e.createRay("RayCluster", "a", "", strings.ReplaceAll(
		forDovetail(autoscaling, "groupName: w, replicas: 1, minReplicas: 1, maxReplicas: 9, numOfHosts: 2"), "image: rayproject/ray:2.46.0", large))
	key := gangs.RayClusterKey(e.Namespace, "a")
	e.placed(key, headAndTwo)
	e.scaleRay("a", 3)
	e.placed(key, map[string]int{"headgroup": 1, "w": 6})
	leaves := e.Domains("ray.io/cluster=a", fleet.LabelLeaf)
	if len(leaves) != 1 {
		e.Errorf("the gang spread over leaves %v as it grew, while one has room for all", leaves)
	}
	last := e.members(key)[5:]
	e.scaleRay("a", 2, last[0].Pod.Name, last[1].Pod.Name)
	e.placed(key, map[string]int{"headgroup": 1, "w": 4})
}

// scaleRay asks for so many replicas, and for these pods to go, as the autoscaler
// does.
func (e *env) scaleRay(name string, replicas int64, goes ...string) {
	e.Helper()
	e.Edit(rayClusters, name, func(u *unstructured.Unstructured) error {
		groups, _, err := unstructured.NestedSlice(u.Object, "spec", "workerGroupSpecs")
		if err != nil {
			return err
		}
		group := groups[0].(map[string]any)
		group["replicas"] = replicas
		if len(goes) > 0 {
			if err := unstructured.SetNestedStringSlice(group, goes, "scaleStrategy", "workersToDelete"); err != nil {
				return err
			}
		}
		return unstructured.SetNestedSlice(u.Object, groups, "spec", "workerGroupSpecs")
	})
}

// rayJobSpec is a RayJob's spec in a submission mode.
func rayJobSpec(mode, cluster string) string {
	if mode == "InteractiveMode" {
		return fmt.Sprintf("{submissionMode: %s, rayClusterSpec: %s}", mode, cluster)
	}
	submitter := ""
	if mode == "K8sJobMode" {
		submitter = "submitterPodTemplate: {spec: {schedulerName: dovetail, restartPolicy: Never, containers: [{name: s, image: rayproject/ray:2.46.0}]}}, "
	}
	return fmt.Sprintf("{submissionMode: %s, entrypoint: sleep 1, %srayClusterSpec: %s}", mode, submitter, cluster)
}

func rayJob(e *env, mode string) {
	e.kubeRay("")
	e.createRay("RayJob", "train", "", rayJobSpec(mode, forDovetail("", twoWorkers)))
	e.placed(gangs.RayClusterKey(e.Namespace, e.rayClusterOf("train")), headAndTwo)
	if mode == "K8sJobMode" {
		e.alone(1, isSubmitter)
	}
}

func isSubmitter(pod *corev1.Pod) bool {
	return pod.Labels["batch.kubernetes.io/job-name"] == "train"
}

func rayService(e *env) {
	e.kubeRay("")
	e.createRay("RayService", "serve", "", fmt.Sprintf("{serveConfigV2: 'applications: []', rayClusterConfig: %s}", forDovetail("", twoWorkers)))
	e.placed(gangs.RayClusterKey(e.Namespace, e.rayClusterOf("serve")), headAndTwo)
}

func raySchedulerPlugins(e *env) {
	e.kubeRay("scheduler-plugins")
	e.createRay("RayCluster", "a", gangLabel, spec("", twoWorkers))
	e.placed(gangs.RayClusterKey(e.Namespace, "a"), headAndTwo)
	e.every(func(p *corev1.Pod) string { return p.Labels[gangs.CoschedulingLabel] }, "a")
}

func rayVolcano(e *env) {
	e.install(workloads.VolcanoPodGroup.Resource, "PodGroup")
	e.kubeRay("volcano")
	e.createRay("RayCluster", "a", "", spec("", twoWorkers))
	e.placed(gangs.RayClusterKey(e.Namespace, "a"), headAndTwo)
	e.every(func(p *corev1.Pod) string { return p.Annotations["scheduling.k8s.io/group-name"] }, "ray-a-pg")
	e.createRay("RayJob", "train", "", rayJobSpec("K8sJobMode", spec("", twoWorkers)))
	e.placed(gangs.RayClusterKey(e.Namespace, e.rayClusterOf("train")), headAndTwo)
	e.alone(1, isSubmitter)
}

// every checks that this is the mode that is meant to be tested.
func (e *env) every(of func(*corev1.Pod) string, want string) {
	e.Helper()
	pods := e.Pods("")
	for i := range pods {
		if got := of(&pods[i]); got != want {
			e.Errorf("pod %s carries %q, want %q: this is not the mode that is tested", pods[i].Name, got, want)
		}
	}
}

func rayYuniKorn(e *env) {
	e.kubeRay("yunikorn")
	e.createRay("RayCluster", "a", gangLabel, spec("", "groupName: w, replicas: 3, minReplicas: 2, maxReplicas: 9"))
	key := gangs.YuniKornKey(e.Namespace, "a")
	e.placed(key, map[string]int{"headgroup": 1, "w": 3})
	e.quorum(key, map[string]int{"headgroup": 1, "w": 2})
}

func rayJobYuniKorn(e *env) {
	e.kubeRay("yunikorn")
	e.createRay("RayJob", "train", gangLabel, rayJobSpec("K8sJobMode", spec("", twoWorkers)))
	key := gangs.YuniKornKey(e.Namespace, e.rayClusterOf("train"))
	e.placed(key, headAndTwo)
	e.quorum(key, headAndTwo)
	e.alone(1, isSubmitter)
}

// quorum checks how many of each role the gang needs.
func (e *env) quorum(key gangs.Key, want map[string]int) {
	e.Helper()
	g, err := e.sources.Gang(key, e.members(key))
	if err != nil {
		e.Fatal(err)
	}
	got := map[string]int{}
	for _, r := range g.Roles {
		got[r.Name] = r.Min
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		e.Errorf("%s needs %v, want %v", key, got, want)
	}
}

// rayClusterOf returns the name of the RayCluster that has the name itself, or
// that a RayJob or RayService of the name created.
func (e *env) rayClusterOf(origin string) string {
	e.Helper()
	found := ""
	e.Until("there is a RayCluster of "+origin, func(ctx context.Context) string {
		list, err := e.Of(rayClusters).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, u := range list.Items {
			if u.GetName() == origin || u.GetLabels()["ray.io/originated-from-cr-name"] == origin {
				found = u.GetName()
				return ""
			}
		}
		return fmt.Sprintf("there are %d others", len(list.Items))
	})
	return found
}
