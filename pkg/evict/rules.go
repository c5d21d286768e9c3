// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package evict

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Reader reads the gangs of running pods.
type Reader interface {
	// Member returns the pod as a member of its gang, if it is in one.
	Member(*v1.Pod) (gangs.Member, bool)
	// Gang returns what is declared about a gang.
	Gang(gangs.Key, []gangs.Member) (gangs.Gang, error)
}

// Rules say who may be evicted.
type Rules struct {
	Reader Reader
	// Profile, unless it is "", is the scheduler name of the only pods that may be evicted.
	Profile string
	// MinRuntime is how long a gang or a pod runs before it may be evicted. Members beyond the
	// minimum of their gang are not protected.
	MinRuntime time.Duration
	// AllowNever is true if gangs.PreemptionAnnotation protects pods.
	AllowNever bool
	// PreferBudgets is true if pods that a PodDisruptionBudget protects may be evicted, at the
	// highest cost. Otherwise they are never evicted.
	PreferBudgets bool
	// Bound reports whether the API server knows the pod's node. A pod that is being bound
	// cannot be evicted yet. Nil means that it knows the nodes of all pods.
	Bound func(*v1.Pod) bool
	// Spared returns why the unit with this name is not to be evicted, "" for no reason. Nil
	// means that no unit is spared.
	Spared func(name string) string
	// Recent reports whether the unit with this name was evicted recently: then it costs more.
	// Nil means that none was.
	Recent func(name string) bool
}

// stuckAfter is how long after the end of its grace period a pod that is being deleted counts as
// one that will not end, for example because of a finalizer or a node that does not answer.
const stuckAfter = 2 * time.Minute

// systemNamespace has the pods without which a cluster does not work.
const systemNamespace = metav1.NamespaceSystem

// mirrorAnnotation marks the pod object of a static pod, which the kubelet starts again.
const mirrorAnnotation = v1.MirrorPodAnnotationKey

// Leaving reports whether the pod is being deleted and will have ended soon.
func Leaving(pod *v1.Pod, now time.Time) bool {
	return pod.DeletionTimestamp != nil && now.Before(pod.DeletionTimestamp.Add(stuckAfter))
}

// immovable reports whether nobody may evict the pod: a pod of a DaemonSet or of a node would
// start again at the same place, and the pods of kube-system serve the cluster itself.
func (r *Rules) immovable(pod *v1.Pod) bool {
	if pod.Namespace == systemNamespace || r.Profile != "" && pod.Spec.SchedulerName != r.Profile {
		return true
	}
	if _, mirror := pod.Annotations[mirrorAnnotation]; mirror {
		return true
	}
	owner := metav1.GetControllerOf(pod)
	return owner != nil && (owner.Kind == "DaemonSet" || owner.Kind == "Node")
}

// annotated returns the protection that the pod's annotation asks for, "" for none.
func (r *Rules) annotated(pod *v1.Pod) string {
	if r.AllowNever && pod.Annotations[gangs.PreemptionAnnotation] == gangs.PreemptionNever {
		return "is protected by annotation " + gangs.PreemptionAnnotation
	}
	return ""
}

// tooYoung returns the protection of pods that have run for less than their minimum, "" for
// none. started is the time of the first start, zero if none has started. least is the minimum
// that the pods ask for themselves.
func (r *Rules) tooYoung(started time.Time, least time.Duration, now time.Time) string {
	least = max(least, r.MinRuntime)
	ran := time.Duration(0)
	if !started.IsZero() {
		ran = max(0, now.Sub(started))
	}
	if ran >= least {
		return ""
	}
	return fmt.Sprintf("has not run for its minimum of %v yet", least)
}

func priorityOf(pod *v1.Pod) int32 { return corev1helpers.PodPriority(pod) }
