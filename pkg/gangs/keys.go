// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

// AnnotationPrefix is the prefix of every label and annotation of Dovetail.
const AnnotationPrefix = "dovetail.dev/"

// The annotations with a topology constraint, on an object that declares a gang (pods that
// start together) or on a pod. Their value is the name of a network level, such as rack,
// that the scheduler's configuration lists: one domain of it, such as one rack, must or should
// hold all members.
const (
	RequiredAnnotation  = AnnotationPrefix + "topology-required"
	PreferredAnnotation = AnnotationPrefix + "topology-preferred"
)

// AlignmentAnnotation sets how strictly a pod's GPUs and RDMA NICs must be close to each
// other. It is read from pods, claims, claim templates and the object that declares a gang.
const AlignmentAnnotation = AnnotationPrefix + "device-alignment"

// GangAnnotation with the value "true" makes a gang of all pods of a Job that run at the
// same time. It is an annotation or a label, on the Job or on its pod template.
const GangAnnotation = AnnotationPrefix + "gang"

// The label that names a pod's gang, and the annotation with the number of members in its
// quorum (those that must start together). They work for pods of any controller.
const (
	GangNameLabel     = AnnotationPrefix + "gang-name"
	GangMinAnnotation = AnnotationPrefix + "gang-min"
)

// MakePodGroupLabel requests a PodGroup of scheduling.k8s.io in place of the gang that
// Dovetail infers from a RayCluster or a JobSet. The label must have the value "true" on
// every pod template of the object. It is on pod templates because an admission policy
// puts the name of the PodGroup on the pods, and the policy sees only the pod.
const MakePodGroupLabel = AnnotationPrefix + "native-gang"

// scheduleLabel on a pod or its namespace makes an admission policy set
// spec.schedulerName to Dovetail's. See manifests/scheduler-name.
const scheduleLabel = AnnotationPrefix + "schedule"

// The annotations about the run time of a gang, on an object that declares a gang or on a
// pod. Their values are Go durations above 0, such as 90m. Dovetail reads the values, but
// never ends a pod because of them.
const (
	// TimeLimitAnnotation is the time from the start by which the gang, or the pod, has ended.
	TimeLimitAnnotation = AnnotationPrefix + "time-limit"
	// CheckpointAnnotation is the longest run time whose work an eviction loses, because the
	// job has saved all earlier work.
	CheckpointAnnotation = AnnotationPrefix + "checkpoint"
	// MinRuntimeAnnotation is the time for which the gang, or the pod, is to run undisturbed.
	MinRuntimeAnnotation = AnnotationPrefix + "min-runtime"
)

// PreemptionAnnotation with the value PreemptionNever protects a pod from eviction for others, if
// the administrator allows it.
const (
	PreemptionAnnotation = AnnotationPrefix + "preemption"
	PreemptionNever      = "never"
)

// MaxExecTimeLabel is Kueue's label with the number of seconds that a workload may run. Kueue
// ends the workload after this time.
const MaxExecTimeLabel = "kueue.x-k8s.io/max-exec-time-seconds"
