// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Ends returns the time by which all members of a running gang have ended, zero if that is
// unknown or if no member has started. The limit of the object that declares the gang counts
// from the first start of a live member (one that neither failed nor is being deleted). The
// limit of a pod counts from its own start. Ends returns the earlier of both ends.
//
// The gang may end sooner, for example by a Job's controller, which counts from an earlier time.
// The limit of a pod counts anew if a new pod replaces it.
func (g *Gang) Ends(members []Member) time.Time {
	started := g.started(members)
	if g.RunTimeWith(members).LimitInvalid || started.IsZero() {
		return time.Time{}
	}
	end := g.podsEnd(members)
	if !g.RunTime.Limit.Known() {
		return end
	}
	if declared := started.Add(g.RunTime.Limit.Duration); end.IsZero() || declared.Before(end) {
		return declared
	}
	return end
}

// started returns the first start of a live member, zero if none has started.
func (g *Gang) started(members []Member) time.Time {
	first := time.Time{}
	for _, m := range members {
		start := PodStart(m.Pod)
		if g.Has(m) && Live(m.Pod) && !start.IsZero() && (first.IsZero() || start.Before(first)) {
			first = start
		}
	}
	return first
}

// podsEnd returns the time by which each live member that has not succeeded has ended, by the
// limit of its pod. It returns zero if this time is unknown for a member.
func (g *Gang) podsEnd(members []Member) time.Time {
	last := time.Time{}
	for _, m := range members {
		if !g.Has(m) || !Live(m.Pod) || isDone(m) {
			continue
		}
		end := PodEnds(m.Pod)
		if end.IsZero() {
			return time.Time{}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}

// PodEnds returns the time by which a running pod has ended by its own limit, zero if the pod
// has no limit or has not started.
func PodEnds(pod *corev1.Pod) time.Time {
	limit, start := PodRunTime(pod).Limit, PodStart(pod)
	if !limit.Known() || start.IsZero() {
		return time.Time{}
	}
	return start.Add(limit.Duration)
}

// PodStart returns the time at which the kubelet accepted the pod, zero if it has not accepted
// the pod. The pod's activeDeadlineSeconds counts from this time.
func PodStart(pod *corev1.Pod) time.Time {
	if pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Time
}
