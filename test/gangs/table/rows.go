// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package table

// Row is one source of gangs: one way to declare them.
type Row struct {
	// Source is its name in the arguments of the plugin Gang, in events and in metrics.
	Source string
	// For names the workloads that use the source.
	For string
	// Pod names the fields, labels, annotations or owners by which a pod is in the gang.
	Pod string
	// Reads names the objects that Dovetail reads besides the pod.
	Reads string
	// Min is how Dovetail counts the quorum, the members that must start together.
	Min string
	// Cases are the tests of the source.
	Cases []Case
}

// Case is one test of a source.
type Case struct {
	// Name is the subtest of TestSources/SOURCE.
	Name string
	// With names the program or the person that makes the pods in the test.
	With string
}

// Values of Case.With. Where a controller can be built here, the test runs the real one. For
// other controllers, the test makes the objects and pods as the controller does (asMade).
const (
	kubeRay = "KubeRay operator v1.5.1"
	jobSet  = "JobSet controller v0.12.0"
	kcm     = "kube-controller-manager v1.37.2"
	asMade  = "objects and pods as made by "
)

// Rows are all sources, in the order in which Dovetail tries them for a pod.
var Rows = []Row{
	{
		Source: "schedulinggroup",
		For:    "PodGroups of Kubernetes itself, where this scheduler's feature gate GenericWorkload is off",
		Pod:    "`spec.schedulingGroup.podGroupName`",
		Reads:  "PodGroup `scheduling.k8s.io/v1beta1`",
		Min:    "`schedulingPolicy.gang.minCount`; policy `basic` is no gang; topology constraints, claims and parents of a group are refused, not ignored",
		Cases: []Case{
			{"gang", "kube-apiserver v1.37.2, pods by hand"},
			{"basic", "kube-apiserver v1.37.2, pods by hand"},
		},
	},
	{
		Source: "podgroup",
		For:    "scheduler-plugins PodGroups: written by hand, Kubeflow (TrainJob, PyTorchJob, MPIJob)",
		Pod:    "label `scheduling.x-k8s.io/pod-group`, unless it is what KubeRay writes on a RayCluster's pods",
		Reads:  "PodGroup `scheduling.x-k8s.io/v1alpha1`; of a TrainJob its JobSet, of a RayCluster that",
		Min:    "`minMember`; of a TrainJob as of a JobSet, without initialisers",
		Cases: []Case{
			{"by-hand", "objects by hand"},
			{"pytorchjob", asMade + "training-operator v1.9"},
			{"mpijob", asMade + "mpi-operator v0.8"},
			{"trainjob", asMade + "Kubeflow Trainer v2.3, on the " + jobSet},
		},
	},
	{
		Source: "volcano",
		For:    "Volcano PodGroups: written by hand, Kubeflow and LeaderWorkerSet in Volcano mode",
		Pod:    "annotation `scheduling.k8s.io/group-name` or `scheduling.volcano.sh/group-name`, unless it is what KubeRay writes; part: `volcano.sh/task-spec`",
		Reads:  "PodGroup `scheduling.volcano.sh/v1beta1`; of a TrainJob its JobSet",
		Min:    "`minMember`, and of each task its `minTaskMember`",
		Cases: []Case{
			{"tasks", asMade + "Volcano's own jobs"},
		},
	},
	{
		Source: "yunikorn",
		For:    "applications with task groups for YuniKorn",
		Pod:    "annotation `yunikorn.apache.org/task-group-name`, and label `applicationId` or a RayCluster as owner",
		Reads:  "annotation `yunikorn.apache.org/task-groups` of the youngest pod that has one",
		Min:    "each group's `minMember` (of KubeRay: minReplicas × numOfHosts), without the submitter's",
		Cases: []Case{
			{"application", asMade + "an application for YuniKorn"},
			{"raycluster", kubeRay + ", `--batch-scheduler=yunikorn`"},
			{"rayjob", kubeRay + ", `--batch-scheduler=yunikorn`, RayJob in K8sJobMode"},
		},
	},
	{
		Source: "kueue",
		For:    "Kueue's groups of plain pods",
		Pod:    "label `kueue.x-k8s.io/pod-group-name`, without fast admission",
		Reads:  "the pods alone; those that Kueue still gates are not ready",
		Min:    "annotation `kueue.x-k8s.io/pod-group-total-count`",
		Cases: []Case{
			{"pod-group", asMade + "a user and Kueue v0.19"},
		},
	},
	{
		Source: "leaderworkerset",
		For:    "each group of a LeaderWorkerSet",
		Pod:    "labels `leaderworkerset.sigs.k8s.io/{name,group-index,worker-index}`",
		Reads:  "annotation `leaderworkerset.sigs.k8s.io/size`; LeaderWorkerSet `leaderworkerset.x-k8s.io/v1` for `startupPolicy`, if it is there",
		Min:    "size; with `LeaderReady` or exclusive topology the leader, and then all workers together",
		Cases: []Case{
			{"leader-created", asMade + "LeaderWorkerSet v0.10"},
			{"leader-ready", asMade + "LeaderWorkerSet v0.10"},
		},
	},
	{
		Source: "raycluster",
		For:    "RayCluster, RayJob, RayService",
		Pod:    "a RayCluster as controller, and label `ray.io/node-type` head or worker",
		Reads:  "RayCluster `ray.io/v1`; RayJob `ray.io/v1` for the run time, if a RayJob made the RayCluster",
		Min:    "head + Σ replicas × numOfHosts; with the autoscaler Σ minReplicas × numOfHosts, and later replicas join by all of their hosts",
		Cases: []Case{
			{"raycluster", kubeRay},
			{"autoscaled", kubeRay + ", replicas of two hosts patched as Ray's autoscaler does"},
			{"rayjob-k8sjob", kubeRay + ", RayJob in K8sJobMode"},
			{"rayjob-http", kubeRay + ", RayJob in HTTPMode"},
			{"rayjob-sidecar", kubeRay + ", RayJob in SidecarMode"},
			{"rayjob-interactive", kubeRay + ", RayJob in InteractiveMode"},
			{"rayservice", kubeRay + ", RayService"},
			{"scheduler-plugins", kubeRay + ", `--batch-scheduler=scheduler-plugins`"},
			{"volcano", kubeRay + ", `--batch-scheduler=volcano`, RayCluster and RayJob"},
		},
	},
	{
		Source: "jobset",
		For:    "JobSet; TrainJob without a PodGroup",
		Pod:    "label `jobset.sigs.k8s.io/jobset-name`",
		Reads:  "JobSet `jobset.x-k8s.io/v1alpha2`, and the status of its Jobs",
		Min:    "Σ Jobs not complete × min(parallelism, completions), of the present attempt; a replicatedJob that is made after others (`InOrder`, `dependsOn`) starts together after them; with exclusive topology the first pod of a Job alone, and then the rest of the Job together",
		Cases: []Case{
			{"any-order", jobSet},
			{"in-order", jobSet},
			{"depends-on", jobSet},
			{"exclusive-topology", jobSet + " with its webhooks"},
		},
	},
	{
		Source: "job",
		For:    "a Job that asks for it",
		Pod:    "a Job as controller, and label or annotation `dovetail.dev/gang: \"true\"` on the pod template or the Job",
		Reads:  "Job `batch/v1`",
		Min:    "min(parallelism, completions left), where an index that failed for good is not left",
		Cases: []Case{
			{"template", kcm + ", marked on the pod template"},
			{"job", kcm + ", marked on the Job"},
			{"unmarked", kcm + ", not marked: no gang"},
		},
	},
	{
		Source: "ganglabel",
		For:    "any other pods",
		Pod:    "label `dovetail.dev/gang-name`",
		Reads:  "the pods alone",
		Min:    "annotation `dovetail.dev/gang-min`",
		Cases: []Case{
			{"statefulset", kcm + ", StatefulSet"},
		},
	},
}

// Trap is something that a workload's controller does and that would make a scheduler wait for
// ever, or split pods that must start together.
type Trap struct {
	// Name describes what the controller does.
	Name string
	// Handling is what Dovetail does.
	Handling string
	// Test names the table test of the trap in pkg/gangs.
	Test string
}

// Traps are the known traps.
var Traps = []Trap{
	{"A RayJob's submitter comes when the cluster is ready", "in no gang, whatever its annotations say", "TestTrapRaySubmitter"},
	{"A Redis cleanup pod comes when the cluster is gone", "in no gang", "TestTrapRedisCleanup"},
	{"KubeRay never updates its scheduler-plugins PodGroup", "the RayCluster is read instead", "TestTrapKubeRayStalePodGroup"},
	{"With Ray's autoscaler, replicas come and go", "minReplicas are the gang; more join where it runs", "TestTrapRayAutoscaledGroup"},
	{"One host of a replica of several is of no use", "all hosts of a later replica start together", "TestTrapRayMultiHostReplica"},
	{"A TrainJob's initialisers end before its nodes are made, and its PodGroup counts both", "initialisers are in no gang; the count comes from the JobSet", "TestTrapTrainJobInitialisers"},
	{"`startupPolicyOrder: InOrder` makes Jobs only when earlier ones are ready", "each replicatedJob starts whole, one after another", "TestTrapJobSetInOrder"},
	{"`dependsOn` does the same", "the same", "TestTrapJobSetDependsOn"},
	{"Exclusive topology of a JobSet: pods are refused until the first of their Job has a node", "the first starts alone, the rest of the Job together", "TestTrapJobSetExclusiveTopology"},
	{"`startupPolicy: LeaderReady` makes workers only when the leader is ready", "the leader starts alone, the workers together", "TestTrapLWSLeaderReady"},
	{"Exclusive topology of a LeaderWorkerSet: workers follow the leader's node", "the same", "TestTrapLWSExclusiveTopology"},
	{"Kubernetes' Job controller makes PodGroups that are no gang", "policy `basic` is no gang", "TestTrapBasicPodGroup"},
	{"Kueue holds pods by a gate", "the gang waits, and names the gate", "TestTrapKueueGate"},
	{"Kueue's fast admission: pods come one after another", "in no gang of Kueue's", "TestTrapKueueFastAdmission"},
	{"The list of task groups is written once on each pod", "the youngest pod's is read", "TestTrapYuniKornStaleList"},
	{"A pod has the marks of several sources", "it is in the gang of the first", "TestTrapGangedTwice"},
	{"A pod is seen before the Job that says whether it is in a gang", "it waits for that moment", "TestTrapJobSeenAfterItsPods"},
	{"With `backoffLimitPerIndex` an index that failed for good gets no more pods", "the quorum leaves out `status.failedIndexes`", "TestTrapJobFailedIndexes"},
	{"Pods of a Job that are done are deleted", "the Job's status says what is done, each pod or index once", "TestTrapJobDonePodsDeleted"},
	{"A Job ends before all its pods are done, as by `successPolicy`", "its pods start no more, and the condition is named", "TestTrapJobEnded"},
	{"The parallelism of a Job is changed", "the quorum follows it", "TestTrapJobElastic"},
	{"Pods of complete Jobs of a JobSet are deleted, or stay", "the JobSet's status says how many Jobs are complete", "TestTrapJobSetDonePods"},
	{"Of pods that a Job of a JobSet completed or gave up, the JobSet's status says nothing", "the Jobs themselves are read too", "TestTrapJobSetJobsStatus"},
	{"A JobSet restarts, and pods of the former attempt are still there", "only pods of the present attempt are in the gang", "TestTrapJobSetRestart"},
	{"A JobSet ends before all its Jobs are complete, as by `successPolicy`", "its pods start no more, and the condition is named", "TestTrapJobSetEnded"},
}
