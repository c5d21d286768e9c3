// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package invariants watches an API server with its own client and reports violations of the
// invariants I1, I2, I4 and I8 to I11 of the design. It judges by API objects alone and shares no code with
// the scheduler, so a mistake in the scheduler cannot hide a violation here.
//
// # Outages
//
// An outage is a time in which a watch of the checker is broken, or in which a server is down
// according to Checker.ServerDown, which a test calls. Outages do not count toward Grace and
// Settle, the time limits in Options. After an outage a watch may start with a complete list.
// Bindings that the checker sees only in a list are not judged.
//
// # Judged pods
//
// The checker judges pods whose schedulerName is in Options.SchedulerNames. Pods of other
// schedulers only count as load on their nodes. The checker judges a binding when it receives the
// event. Pods that have a node in the first list also count only as load.
//
// # Gangs
//
// A pod belongs to the first of these gangs that exists:
//
//  1. the PodGroup of Kubernetes itself in the pod's spec
//  2. the RayCluster that is the pod's controller; a pod that is neither head nor
//     worker (Redis cleanup) is then in no gang
//  3. the scheduler-plugins PodGroup in the pod's label
//  4. the Volcano PodGroup, YuniKorn application, Kueue pod group or LeaderWorkerSet group in
//     the pod's labels and annotations
//  5. the Job that is the pod's controller, if its pod template requests a gang
//  6. the gang of the pod's label dovetail.dev/gang-name
//
// The RayCluster comes before the scheduler-plugins PodGroup because KubeRay never updates that
// PodGroup.
//
// The minimum of a RayCluster is one head plus, for each worker group that is not suspended,
// replicas (clamped to minReplicas and maxReplicas) times numOfHosts, or minReplicas times
// numOfHosts if the cluster is autoscaled. Each role must have its own minimum. The minimum of a
// PodGroup is its minMember, or the minCount of its gang policy. The minimum of a Job is its
// parallelism, or the number of remaining completions if that is smaller; finished pods do not
// count toward it. The checker follows changes of all these objects. The minimum of a gang by
// label is the largest dovetail.dev/gang-min of its pods.
//
// Gangs of YuniKorn, Kueue and LeaderWorkerSets are declared by annotations of their pods. A
// LeaderWorkerSet whose leader starts first is not judged, nor is a JobSet.
//
// CompositePodGroups are gangs of PodGroups. No pod may be bound unless at least minGroupCount of
// the groups directly below a CompositePodGroup meet their own minimum together.
//
// # I1, all or nothing
//
// A gang holds nodes while it has a bound member that is neither finished nor being deleted. Such
// a gang must have met its minimum at some moment, counting all existing members with a node,
// whatever their phase. If not, it breaks I1 once Grace has passed without another binding. A
// gang that met its minimum may lose members. It must meet its minimum again only after it held
// no node.
//
// A gang is not judged if its RayCluster, PodGroup or Job is deleted or suspended. Members bound
// for a PodGroup that never existed break I1. Members of a gang by label break I1 if no pod
// declares its size.
//
// # I2, nothing twice, nothing refused
//
//   - A device is in the allocation of at most one claim, except with admin access or a share ID.
//     The checker judges this at once, on every write of a claim.
//   - At the moment of a binding its node exists and has allocatable resources for the sum of
//     requests of all unfinished pods bound there. It has room for one more pod and matches the
//     pod's nodeSelector and required node affinity. It is not cordoned and has no NoSchedule or
//     NoExecute taint that the pod does not tolerate. Nodes and pods arrive by different watches.
//     A binding is therefore wrong only if it is wrong against every version of the node within
//     Settle.
//   - Every claim of a bound pod is allocated, reserved for that pod and valid on its node. Its
//     devices are in a ResourceSlice that the node can reach. This must be true at some moment
//     within Settle after the binding.
//
// The checker does not add up counters of partitionable devices and consumable capacity. It does
// not judge inter-pod affinity, topology spread, volumes and host ports.
//
// # I4, waiting pods hold nothing
//
// A pod without a node breaks I4 if its own claim, or a claim reserved for it, is still allocated
// when Grace has passed since the allocation and since the last binding of its gang. A member of a
// gang that never met its minimum also breaks I4 if it keeps status.nominatedNodeName for that
// long, unless a pod on that node is being deleted. Claims that wait for binding conditions of
// their devices are exempt.
//
// # Evictions
//
// Dovetail evicted a pod if the pod had the condition DisruptionTarget with the reason
// PreemptionByScheduler and a message that begins "evicted for gang NAMESPACE/NAME of priority P"
// (or "for pod"), and began to leave within Grace. The named gang or pod is the preemptor. A
// clearing is a set of evictions for one preemptor with no pause longer than Grace, or that goes on
// after an outage or Checker.SchedulerRestarted. A preemptor is placed when a member got a node after the clearing
// began and the gang has met its minimum. Checker.Evictions returns counts.
//
//   - I8: the preemptor is placed within Options.Placement after its last victim was gone. It need
//     not be if too few of its members are left, if its object is gone, or if a victim does not end
//     (two minutes after its grace period). It also need not be if the PodScheduled condition of a
//     member gave a reason after the victims were gone, other than a wait for victims.
//   - I9: the priority of a victim is lower than P and than that of the preemptor's pods. Grace after
//     the last eviction from a gang, its other members are a quorum, or none of them runs. PodGroups
//     with disruptionMode single are exempt. A gang that went whole, or a pod without a gang, has run
//     for Options.MinRuntime and for the annotation dovetail.dev/min-runtime, counted from the first
//     binding of a member.
//   - I10: no pod is evicted in a new clearing while victims of the same preemptor's earlier clearing
//     still leave, unless these do not end. No pod of that name, and no gang that went whole, is evicted in
//     a later clearing for a preemptor that was not placed in between.
//   - I11: if the preemptor is not placed within Options.Placement, no pod of lower or equal priority
//     was bound in that time to the node of a victim with resources, or with devices, that the victim
//     had. Resources that were free beside the victim may be used. If the preemptor is placed, nobody
//     took its room.
//
// The checker cannot judge whether a victim was necessary. It does not judge I8 for gangs whose
// minimum it does not know, and I9 for JobSets and for the minimum of a CompositePodGroup.
package invariants
