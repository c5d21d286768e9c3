// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the apiVersion that arguments may carry. Its group is not the one of
// Dovetail's annotations (dovetail.dev): a new version of the scheduler's configuration says
// nothing about objects in the cluster.
var GroupVersion = schema.GroupVersion{Group: "config.dovetail.dev", Version: "v1"}

// GangArgs are the arguments of the Gang plugin, which places the pods of a
// gang together or not at all.
type GangArgs struct {
	metav1.TypeMeta `json:",inline"`

	// ReportDelay is how long an incomplete gang must have got neither a pod nor a claim
	// before the pods' conditions and events say what it lacks. Controllers create the pods
	// of a gang one after the other, and without the delay every healthy gang would first be
	// reported as incomplete. 0s reports at once. From 0s to 1h.
	ReportDelay *metav1.Duration `json:"reportDelay,omitempty"`

	// MaxReplans is how many times in a row a gang is planned anew, without backing off,
	// after its plan was refused: a stock filter refused a planned node, or the cluster
	// changed before the gang was placed. After that other gangs are planned first. Later
	// plans of the gang avoid what was refused until an event may have removed the cause.
	// From 0 to 10.
	MaxReplans *int32 `json:"maxReplans,omitempty"`

	// PermitTimeout is how long a placed pod may wait for the rest of its gang
	// before all of them are released. It is a safety net only: a gang that
	// loses a member is released at once. From 1s to 15m, which is the longest
	// wait that the scheduling framework allows.
	PermitTimeout *metav1.Duration `json:"permitTimeout,omitempty"`

	// HealAfter is how long a running gang may lack members that it lost and for which there
	// is no room where it runs. After that its remaining members are evicted, so that the
	// whole gang is placed elsewhere. They are evicted only if the whole gang would fit
	// elsewhere and a controller replaces them; PodDisruptionBudgets are respected. It is
	// also how long a gang may be below its minimum because bindings of its members fail;
	// then its bound members are evicted, if a controller replaces them. The scheduler needs
	// the right to evict, which manifests/evictions grants. 0s evicts no pod: the gang waits
	// for room. From 0s to 24h.
	HealAfter *metav1.Duration `json:"healAfter,omitempty"`

	// MaxBypass is how long later gangs of the same or of lower priority may be placed while
	// an earlier gang has no room, counted from the first that is placed. After that, nodes
	// are reserved for the earlier gang: nodes on which it would fit if the pods that this
	// scheduler placed there ended. Later gangs, and pods with resource claims, then use
	// other nodes or wait. Nodes are reserved for one gang at a time. A reservation lasts at
	// most a day, or an hour if it has more than half of the nodes. After that no nodes are
	// reserved for a gang of the same namespace for as long again. 0s reserves no nodes.
	// From 0s to 168h.
	MaxBypass *metav1.Duration `json:"maxBypass,omitempty"`

	// Preemption says what a gang without room does if pods of lower priority are in its way.
	// Priority evicts the pods whose eviction costs least, but only if the whole gang fits
	// without them. Never evicts nobody for a gang. docs/preemption.md says who may be
	// evicted. Priority or Never.
	Preemption *string `json:"preemption,omitempty"`

	// Budgets says how evictions for a gang treat PodDisruptionBudgets. Respect evicts no pod
	// that a budget protects. Prefer evicts such pods only if the gang fits in no other way.
	// Respect or Prefer.
	Budgets *string `json:"budgets,omitempty"`

	// Victims says whose pods may be evicted for a gang: All means the pods of all schedulers,
	// Own only those that this profile placed. Pods of DaemonSets, static pods and the pods of
	// the namespace kube-system are never evicted. All or Own.
	Victims *string `json:"victims,omitempty"`

	// MinRuntime is how long a gang or a pod runs before it may be evicted for a gang. The
	// annotation dovetail.dev/min-runtime may ask for more, up to a day. Members beyond the
	// minimum of their gang are not protected. From 0s to 24h.
	MinRuntime *metav1.Duration `json:"minRuntime,omitempty"`

	// PreemptAfter is how long a gang waits without room before pods are evicted for it, so
	// that a cluster autoscaler can add nodes first. From 0s to 24h.
	PreemptAfter *metav1.Duration `json:"preemptAfter,omitempty"`

	// AllowNeverPreempt lets users protect their pods with the annotation
	// dovetail.dev/preemption: never. Without it the annotation has no effect, because any
	// user could then keep a cluster.
	AllowNeverPreempt *bool `json:"allowNeverPreempt,omitempty"`

	// Sources are the ways of declaring a gang that are looked for. Their order has no
	// effect; a pod that several of them recognise belongs to the first in the list
	// below. A source whose kind is not installed costs nothing. Known sources:
	//  - schedulinggroup: pods that name a PodGroup of scheduling.k8s.io in their
	//    spec; left to the stock scheduler where its feature gate GenericWorkload
	//    is on;
	//  - podgroup: pods with the label scheduling.x-k8s.io/pod-group, and the
	//    scheduling.x-k8s.io PodGroup that it names;
	//  - volcano: pods with the annotation scheduling.k8s.io/group-name, and the
	//    scheduling.volcano.sh PodGroup that it names;
	//  - yunikorn: pods with the annotations yunikorn.apache.org/task-group-name
	//    and yunikorn.apache.org/task-groups;
	//  - kueue: pods with the label kueue.x-k8s.io/pod-group-name;
	//  - leaderworkerset: the groups of a LeaderWorkerSet;
	//  - raycluster: pods that KubeRay made for a RayCluster, directly or
	//    through a RayJob or a RayService;
	//  - jobset: the pods of a JobSet;
	//  - job: the pods of a Job with the label or annotation dovetail.dev/gang;
	//  - ganglabel: pods with the label dovetail.dev/gang-name.
	//
	// At least one; to run without gangs, leave the plugin out of the profile.
	// docs/workloads.md says what is read of each.
	Sources []string `json:"sources,omitempty"`

	// SearchBudget is how many steps the planner, which chooses the nodes of a gang, may
	// take for one plan before it gives up. Steps are counted, not timed, so that a plan
	// does not depend on the machine. 0 leaves the choice to the planner.
	// From 0 to 1000000000.
	SearchBudget *int64 `json:"searchBudget,omitempty"`
}

// TopologyArgs are the arguments of the Topology plugin: the levels of the
// network fabric. Write either preset or levels, not both.
type TopologyArgs struct {
	metav1.TypeMeta `json:",inline"`

	// Preset names a built-in list of levels, for clusters whose nodes carry
	// the labels, or whose devices carry the attributes, of a known tool or cloud.
	Preset *string `json:"preset,omitempty"`

	// Levels are the levels of the fabric from the coarsest to the finest. The
	// nodes themselves are always the last level, named "node", and are not
	// listed. From 1 to 16 levels. A fabric without levels is written as preset
	// flat, with levels left out.
	Levels []TopologyLevel `json:"levels,omitempty"`
}

// TopologyLevel is one level of the fabric, such as racks. It divides the nodes into domains,
// such as single racks.
type TopologyLevel struct {
	// Name is what the annotations dovetail.dev/topology-required and
	// dovetail.dev/topology-preferred call the level. Lower-case letters,
	// digits and dashes, at most 63 characters, unique; "node" is reserved.
	Name string `json:"name"`

	// NodeLabel is the key of the node label whose value names the domain that
	// the node is in. A key may serve one level only. A level has either a
	// nodeLabel or a deviceAttribute.
	NodeLabel *string `json:"nodeLabel,omitempty"`

	// DeviceAttribute is the attribute whose value names the domain, on the devices that
	// drivers publish for the node in ResourceSlices. It is written with its DNS domain, as
	// in azure.dra.net/placementGroupId. The drivers of clouds set it on each network card
	// of the node. Devices without the attribute are ignored; a node whose devices disagree,
	// or that has none with the attribute, belongs to no domain of the level, and the
	// scheduler's log says so. A profile with such a level needs the plugin DRAAware.
	DeviceAttribute *string `json:"deviceAttribute,omitempty"`

	// Boundary means that RDMA cannot cross between two domains of this level: a gang
	// that requests RDMA devices is never spread over two domains, whatever its topology
	// annotations prefer.
	Boundary *bool `json:"boundary,omitempty"`
}

// DRAAwareArgs are the arguments of the DRAAware plugin, which runs the stock
// DynamicResources plugin inside it. A value has no effect where the feature
// gate of the stock plugin's field is off.
type DRAAwareArgs struct {
	metav1.TypeMeta `json:",inline"`

	// FilterTimeout is how long the stock plugin may search for devices on one
	// node. 0s searches without end. From 0s to 10m.
	FilterTimeout *metav1.Duration `json:"filterTimeout,omitempty"`

	// BindingTimeout is how long the stock plugin waits for allocated devices
	// to become ready before the pod is bound. From 1s to 24h.
	BindingTimeout *metav1.Duration `json:"bindingTimeout,omitempty"`
}
