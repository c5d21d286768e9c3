// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package invariants watches an API server with its own client and says when
// invariant I1, I2 or I4 of the design breaks. It judges by API objects alone
// and shares no code with the scheduler it judges, so that a wrong idea in the
// scheduler cannot hide here as well.
//
// # Whom it judges
//
// Pods whose schedulerName is in Options.SchedulerNames; pods of other
// schedulers only count as load on their nodes. A binding is judged when it is
// seen to happen: pods that already had a node when first seen are load, too.
//
// # What a gang is
//
// A pod belongs to the PodGroup of Kubernetes itself that its spec names, else to
// the RayCluster that is its controller (unless it is no head and no worker: Redis
// cleanup), else to the scheduler-plugins PodGroup that its label names, else to
// the Job that is its controller, if the Job's pod template asks for a gang, else
// to the gang of its label dovetail.dev/gang-name. The RayCluster comes before the
// PodGroup because KubeRay never updates the one it once made.
//
// The minimum of a RayCluster is one head plus, for each worker group that is not
// suspended, replicas (clamped to minReplicas and maxReplicas) times numOfHosts, or
// minReplicas times numOfHosts if the cluster is autoscaled; it must be met role by
// role. The minimum of a PodGroup is its minMember, or the minCount of its gang
// policy. The minimum of a Job is its parallelism, or as many as are left to
// complete, and only pods that are not finished count for it. All are read live.
// The minimum of a gang by label is the most that one of its pods asks for in
// dovetail.dev/gang-min.
//
// CompositePodGroups are gangs of PodGroups: as many of the groups directly in one
// as its minGroupCount says have their own minimum together, or nobody is bound.
//
// # I1, all or nothing
//
// A gang holds nodes while a member is bound, neither finished nor being
// deleted. Such a gang must have been whole, that is, its members with a node
// (whatever became of them, as long as they exist) met its minimum at some
// moment; else it breaks I1 once Grace has passed without another binding.
// A gang that was whole may lose members; only when it holds no node any more
// must it become whole anew. A gang whose RayCluster or PodGroup was deleted or
// suspended is not judged, nor is one whose Job was. Members bound for a PodGroup that
// never existed break I1, and so do those of a gang by label of which none says how
// many belong to it.
//
// # I2, nothing twice, nothing refused
//
//   - A device stands in the allocation of one claim at most, except with admin
//     access or a share id. Judged at once, on every write of a claim.
//   - At the moment of a binding its node exists, has allocatable resources for
//     the sum of requests of all pods bound there and not finished, has room for
//     one more pod, matches the pod's nodeSelector and required node affinity, is
//     not cordoned and has no NoSchedule or NoExecute taint that the pod does not
//     tolerate. Since nodes and pods arrive by different watches, a binding is
//     wrong only if it is wrong against every version of the node that stood
//     within Settle of it.
//   - Every claim of a bound pod is allocated, reserved for that pod, valid on
//     its node, and its devices are in a ResourceSlice that the node can reach;
//     true at some moment within Settle after the binding.
//
// Counters of partitionable devices and capacity shared by consumers are not
// added up; inter-pod affinity, spreading, volumes and host ports are not judged.
//
// # I4, who cannot fit holds nothing
//
// A pod without a node whose claim stays allocated (its own claim, or one that
// is reserved for it) breaks I4 once Grace has passed since the allocation and
// since the last binding of its gang, and so does a member of a gang that was
// never whole with status.nominatedNodeName set, unless a pod is just leaving
// that node. Claims that wait for binding conditions of their devices are
// exempt.
package invariants
