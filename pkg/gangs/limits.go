// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// longestMinimum is the longest time for which MinRuntimeAnnotation protects a gang. A larger
// value of the annotation has the effect of this one.
const longestMinimum = 24 * time.Hour

// The fields with the number of seconds after which Kubernetes or a controller ends a pod, a Job
// or a RayJob (activeDeadline), or a Job of a JobSet (jobSetActiveDeadline).
const (
	activeDeadline       = "spec.activeDeadlineSeconds"
	jobSetActiveDeadline = "spec.replicatedJobs[].template.spec.activeDeadlineSeconds"
)

// RunTime has the values for the run time of a gang, from its objects, or of a single pod.
// Dovetail reads these values, but never ends a pod because of them.
//
// An object may have up to three limits: TimeLimitAnnotation, activeDeadlineSeconds, and
// MaxExecTimeLabel. The shortest applies. Of equal limits the annotation applies, then the
// field: the annotation is meant for a scheduler, and the other two are times at which a
// controller ends the pods.
//
// The limit of the object that declares the gang applies to all members. The limit of a pod
// applies to this pod: the pods limit the gang only if each of them has a limit, and then by
// the longest. The gang's limit is the shorter of the object's limit and the pods' limit. An
// invalid limit, of the object or of a pod, removes the gang's limit, because the user's
// intention is unknown.
type RunTime struct {
	Limit Limit
	// Checkpoint is the longest run time whose work an eviction loses, 0 if an eviction may
	// lose all work.
	Checkpoint time.Duration
	// Minimum is the time for which the gang is to run undisturbed, at most a day.
	Minimum time.Duration
	// Mistake is a sentence about the first invalid value, "" if there is none.
	Mistake string
	// LimitInvalid is true if a value for the limit is invalid. There is then no Limit.
	LimitInvalid bool
}

// Limit is the longest time for which a gang or a pod runs, counted from its start.
type Limit struct {
	// Duration is zero if no limit is known.
	Duration time.Duration
	// Source names the field, annotation or label that has the limit, such as "annotation
	// dovetail.dev/time-limit of job ml/a".
	Source string
}

// Known reports whether there is a limit.
func (l Limit) Known() bool { return l.Duration > 0 }

// shorter returns the shorter of two limits, l if they are equal or other is unknown.
func (l Limit) shorter(other Limit) Limit {
	if !l.Known() || other.Known() && other.Duration < l.Duration {
		return other
	}
	return l
}

// PodRunTime returns the values for the run time of a single pod, without those of its gang.
func PodRunTime(pod *corev1.Pod) RunTime { return podRunTime(pod, thePod) }

// podRunTime is PodRunTime with a name of the pod for sentences.
func podRunTime(pod *corev1.Pod, name string) RunTime {
	return runTimeOf(&pod.ObjectMeta, name, deadlineOf(pod.Spec.ActiveDeadlineSeconds, activeDeadline, name))
}

// deadlineOf returns the limit in a field of an object. It ignores a value below 1: the API
// server accepts such a value only for a Job that is to end at once.
func deadlineOf(seconds *int64, field, object string) Limit {
	if seconds == nil || *seconds < 1 {
		return Limit{}
	}
	return Limit{Duration: ofSeconds(*seconds), Source: field + " of " + object}
}

// runTimeOf returns the values for the run time in an object's metadata, together with deadline:
// the limit in a field of the object. object is the name of the object in sentences.
func runTimeOf(meta *metav1.ObjectMeta, object string, deadline Limit) RunTime {
	r := runTimeReader{meta: meta, object: object}
	limit := r.annotation(TimeLimitAnnotation, true).shorter(deadline).shorter(r.maxExecTime())
	r.Checkpoint = r.annotation(CheckpointAnnotation, false).Duration
	r.Minimum = min(r.annotation(MinRuntimeAnnotation, false).Duration, longestMinimum)
	if !r.LimitInvalid {
		r.Limit = limit
	}
	return r.RunTime
}

// runTimeReader reads the metadata of one object, and collects mistakes.
type runTimeReader struct {
	RunTime
	meta   *metav1.ObjectMeta
	object string
}

// annotation returns the duration in an annotation, zero if the annotation is missing or
// invalid. limits is true for the annotation with the limit.
func (r *runTimeReader) annotation(key string, limits bool) Limit {
	text, ok := r.meta.Annotations[key]
	if !ok {
		return Limit{}
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		r.mistake("annotation", key, text, "must be a duration above 0 such as 90m or 36h", limits)
		return Limit{}
	}
	return Limit{Duration: duration, Source: "annotation " + key + " of " + r.object}
}

// maxExecTime returns the limit in MaxExecTimeLabel, zero if the label is missing or invalid.
func (r *runTimeReader) maxExecTime() Limit {
	text, ok := r.meta.Labels[MaxExecTimeLabel]
	if !ok {
		return Limit{}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 1 {
		r.mistake("label", MaxExecTimeLabel, text, "must be a number of seconds from 1", true)
		return Limit{}
	}
	return Limit{Duration: ofSeconds(seconds), Source: "label " + MaxExecTimeLabel + " of " + r.object}
}

func (r *runTimeReader) mistake(kind, key, text, must string, limits bool) {
	sentence := fmt.Sprintf("%s %s of %s is %q, which %s", kind, key, r.object, text, must)
	if limits {
		r.LimitInvalid = true
		sentence += "; no time limit is assumed"
	}
	r.Mistake = cmp.Or(r.Mistake, sentence)
}

// ofSeconds returns a number of seconds as a duration, at most the longest possible.
func ofSeconds(seconds int64) time.Duration {
	return time.Duration(min(seconds, math.MaxInt64/int64(time.Second))) * time.Second
}

// and combines the values of two objects that apply to the same gang: the shorter limit, the
// longer minimum, the checkpoint and the mistake of r or, if r has none, of other.
func (r RunTime) and(other RunTime) RunTime {
	both := RunTime{
		Checkpoint:   cmp.Or(r.Checkpoint, other.Checkpoint),
		Minimum:      max(r.Minimum, other.Minimum),
		Mistake:      cmp.Or(r.Mistake, other.Mistake),
		LimitInvalid: r.LimitInvalid || other.LimitInvalid,
	}
	if !both.LimitInvalid {
		both.Limit = r.Limit.shorter(other.Limit)
	}
	return both
}

// itsPods names the pods of a gang in the Source of their limits.
const itsPods = "its pods"

// RunTimeWith combines the gang's RunTime with the values of the members that are running or will
// run: live (neither failed nor being deleted) and not succeeded.
func (g *Gang) RunTimeWith(members []Member) RunTime {
	pods, n := RunTime{}, 0
	for _, m := range members {
		if !g.Has(m) || !Live(m.Pod) || isDone(m) {
			continue
		}
		own := podRunTime(m.Pod, itsPods)
		own.Mistake = "" // Dovetail reports a pod's mistake on the pod
		if n++; n == 1 {
			pods = own
			continue
		}
		pods = pods.beside(own)
	}
	return g.RunTime.and(pods)
}

// beside combines the values of two pods of a gang: the gang has ended when both pods have
// ended, and an eviction loses the work of both. Of equal limits, the one whose Source is first
// in alphabetical order applies, whatever the order of the pods.
func (r RunTime) beside(other RunTime) RunTime {
	both := RunTime{Minimum: max(r.Minimum, other.Minimum), LimitInvalid: r.LimitInvalid || other.LimitInvalid}
	if r.Checkpoint > 0 && other.Checkpoint > 0 {
		both.Checkpoint = max(r.Checkpoint, other.Checkpoint)
	}
	if r.Limit.Known() && other.Limit.Known() {
		both.Limit = r.Limit
		if cmp.Or(cmp.Compare(other.Limit.Duration, r.Limit.Duration), cmp.Compare(r.Limit.Source, other.Limit.Source)) > 0 {
			both.Limit = other.Limit
		}
	}
	return both
}
