// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// gangLabel names the gang on each of its pods.
const gangLabel = "chaos.dovetail.dev/gang"

type object = map[string]any

// gang is a gang of one source (way to declare a gang). With the source "none" it is single
// pods.
type gang struct {
	source, namespace, name string
	size                    int
	// devices is the name of the claim template of each member, extendedGPU, or "".
	devices string
	cpu     int
}

func (g *gang) String() string { return g.namespace + "/" + g.name }

// extendedGPU stands for two GPUs requested as an extended resource.
const extendedGPU = "extended"

// templates are the claim templates of each namespace: GPUs and as many RDMA NICs.
var templates = map[string]int64{"pair-1": 1, "pair-2": 2, "pair-4": 4, wholeNode: 8}

const wholeNode = "pair-8"

// sources are the kinds of gangs, in the order in which the load makes them.
var sources = []string{
	"podgroup", "raycluster", "schedulinggroup", "ganglabel", "job", "volcano", "jobset", "kueue", "leaderworkerset", "yunikorn", "none",
}

// newGang makes a gang of random size and requests. All gangs of the load together fit on the
// fleet.
func newGang(random *rand.Rand, source, namespace, name string) *gang {
	g := &gang{source: source, namespace: namespace, name: name, size: 2 + random.IntN(4), cpu: 1 + random.IntN(4)}
	g.devices = []string{"", "pair-1", "pair-2", "pair-2", "pair-4", extendedGPU}[random.IntN(6)]
	if g.devices == "pair-4" {
		g.size = 2
	}
	return g
}

// newRival returns a gang whose members need all devices of a node each, on most nodes. It
// waits for the other gangs, and they wait for it.
func newRival(namespace, name string, nodes int) *gang {
	return &gang{source: "podgroup", namespace: namespace, name: name, size: nodes, cpu: 8, devices: wholeNode}
}

// podSpec is the spec of each member.
func (g *gang) podSpec() object {
	requests := object{"cpu": strconv.Itoa(g.cpu)}
	resources := object{"requests": requests}
	spec := object{"schedulerName": "dovetail", "terminationGracePeriodSeconds": int64(0)}
	switch g.devices {
	case "":
	case extendedGPU:
		requests[fleet.ExtendedResourceGPU] = "2"
		resources["limits"] = object{fleet.ExtendedResourceGPU: "2"}
	default:
		spec["resourceClaims"] = []any{object{"name": "devices", "resourceClaimTemplateName": g.devices}}
		resources["claims"] = []any{object{"name": "devices"}}
	}
	spec["containers"] = []any{object{"name": "main", "image": "registry.k8s.io/pause", "resources": resources}}
	return spec
}

// pod is the metadata and spec of each member. labels are keys and values of further labels.
func (g *gang) pod(labels ...string) object {
	set := object{gangLabel: g.name}
	for i := 0; i < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	return object{"metadata": object{"labels": set}, "spec": g.podSpec()}
}

func annotate(pod object, annotations object) object {
	pod["metadata"].(object)["annotations"] = annotations
	return pod
}

func (g *gang) top(apiVersion, kind string, spec object) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: object{
		"apiVersion": apiVersion, "kind": kind, "spec": spec,
		"metadata": object{"name": g.name, "namespace": g.namespace, "labels": object{gangLabel: g.name}},
	}}
}

// replicaSet returns a ReplicaSet of the members. Its controller replaces lost members.
func (g *gang) replicaSet(template object) *unstructured.Unstructured {
	return g.top("apps/v1", "ReplicaSet", object{
		"replicas": int64(g.size), "selector": object{"matchLabels": object{gangLabel: g.name}}, "template": template,
	})
}

func (g *gang) job(template object) object {
	template["spec"].(object)["restartPolicy"] = "Never"
	return object{
		"parallelism": int64(g.size), "completions": int64(g.size), "completionMode": "Indexed",
		"backoffLimit": int64(1000), "template": template,
	}
}

// objects returns the objects that a user creates, the workload last.
func (g *gang) objects() []*unstructured.Unstructured {
	size := int64(g.size)
	switch g.source {
	case "podgroup":
		return list(g.top("scheduling.x-k8s.io/v1alpha1", "PodGroup", object{"minMember": size}),
			g.replicaSet(g.pod("scheduling.x-k8s.io/pod-group", g.name)))
	case "volcano":
		return list(g.top("scheduling.volcano.sh/v1beta1", "PodGroup", object{"minMember": size}),
			g.replicaSet(annotate(g.pod(), object{"scheduling.k8s.io/group-name": g.name})))
	case "schedulinggroup":
		template := g.pod()
		template["spec"].(object)["schedulingGroup"] = object{"podGroupName": g.name}
		return list(g.top("scheduling.k8s.io/v1beta1", "PodGroup",
			object{"schedulingPolicy": object{"gang": object{"minCount": size}}}), g.replicaSet(template))
	case "ganglabel":
		return list(g.replicaSet(annotate(g.pod("dovetail.dev/gang-name", g.name), object{"dovetail.dev/gang-min": strconv.Itoa(g.size)})))
	case "kueue":
		return list(g.replicaSet(annotate(g.pod("kueue.x-k8s.io/pod-group-name", g.name),
			object{"kueue.x-k8s.io/pod-group-total-count": strconv.Itoa(g.size)})))
	case "yunikorn":
		groups := fmt.Sprintf(`[{"name":"w","minMember":%d}]`, g.size)
		return list(g.replicaSet(annotate(g.pod("applicationId", g.name),
			object{"yunikorn.apache.org/task-group-name": "w", "yunikorn.apache.org/task-groups": groups})))
	case "raycluster":
		return list(g.top("ray.io/v1", "RayCluster", g.rayCluster()))
	case "job":
		return list(g.top("batch/v1", "Job", g.job(g.pod("dovetail.dev/gang", "true"))))
	case "jobset":
		return list(g.top("jobset.x-k8s.io/v1alpha2", "JobSet", object{
			"failurePolicy":  object{"maxRestarts": int64(1000)},
			"replicatedJobs": []any{object{"name": "w", "replicas": int64(1), "template": object{"spec": g.job(g.pod())}}},
		}))
	case "leaderworkerset":
		return g.leaderWorkerSet()
	}
	return list(g.replicaSet(g.pod()))
}

func (g *gang) rayCluster() object {
	template := func() object {
		pod := g.pod()
		pod["spec"].(object)["containers"].([]any)[0].(object)["image"] = "rayproject/ray:2.46.0"
		return pod
	}
	workers := int64(g.size - 1)
	return object{
		"headGroupSpec": object{"rayStartParams": object{}, "template": template()},
		"workerGroupSpecs": []any{object{
			"groupName": "w", "replicas": workers, "minReplicas": workers, "maxReplicas": workers,
			"rayStartParams": object{}, "template": template(),
		}},
	}
}

// leaderWorkerSet returns the pods of the only group of a LeaderWorkerSet, which no controller
// replaces, and the LeaderWorkerSet.
func (g *gang) leaderWorkerSet() []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for i := range g.size {
		name := g.name + "-0"
		annotations := object{"leaderworkerset.sigs.k8s.io/size": strconv.Itoa(g.size)}
		if i > 0 {
			annotations["leaderworkerset.sigs.k8s.io/leader-name"] = name
			name += "-" + strconv.Itoa(i)
		}
		pod := annotate(g.pod(
			"leaderworkerset.sigs.k8s.io/name", g.name, "leaderworkerset.sigs.k8s.io/group-index", "0",
			"leaderworkerset.sigs.k8s.io/worker-index", strconv.Itoa(i), "leaderworkerset.sigs.k8s.io/group-key", "b2a5d1f0",
			"leaderworkerset.sigs.k8s.io/template-revision-hash", "7d9c"), annotations)
		pod["apiVersion"], pod["kind"] = "v1", "Pod"
		pod["metadata"].(object)["name"], pod["metadata"].(object)["namespace"] = name, g.namespace
		objects = append(objects, &unstructured.Unstructured{Object: pod})
	}
	return append(objects, g.top("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", object{
		"replicas": int64(1), "startupPolicy": "LeaderCreated", "leaderWorkerTemplate": object{"size": int64(g.size)},
	}))
}

// finishes reports whether the members of the gang end by themselves: KWOK completes the pods
// of Jobs.
func (g *gang) finishes() bool { return g.source == "job" || g.source == "jobset" }

func list(objects ...*unstructured.Unstructured) []*unstructured.Unstructured { return objects }
