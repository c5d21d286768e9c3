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

// longestMinimum is the longest time for which MinRuntimeAnnotation protects a gang. A
// larger value counts as this much.
const longestMinimum = 24 * time.Hour

// Fields with the number of seconds after which a controller ends a pod, a Job or a RayJob,
// and the Jobs of a JobSet.
const (
	activeDeadline       = "spec.activeDeadlineSeconds"
	jobSetActiveDeadline = "spec.replicatedJobs[].template.spec.activeDeadlineSeconds"
)

// RunTime is what the objects of a gang, or a pod alone, say about its run time. Dovetail
// reads these values and ends no pod because of them.
//
// An object may state its longest run time in several ways: TimeLimitAnnotation, its
// activeDeadlineSeconds, and MaxExecTimeLabel. The shortest counts. Of equal ones the
// annotation counts, then the field, because the annotation is meant for a scheduler, while
// the other two are the times at which a controller ends the pods.
//
// The object that declares the gang speaks for all members. A pod speaks for itself: the pods
// limit the gang only if each of them has a limit, and then by the longest. The gang's limit
// is the shorter of the object's and the pods'. An invalid value anywhere removes the gang's
// limit, because what the user meant is unknown.
type RunTime struct {
	Limit Limit
	// Declared is the limit that the declaring object of a gang states, without its pods.
	Declared Limit
	// Checkpoint is the most work that an eviction loses, 0 if it may be all.
	Checkpoint time.Duration
	// Minimum is the time for which the gang is to run undisturbed, at most a day.
	Minimum time.Duration
	// Mistake is a sentence about the first invalid value, "" if there is none.
	Mistake string
	// LimitInvalid reports that a value about the limit is invalid, so that there is no
	// Limit.
	LimitInvalid bool
}

// Limit is the longest time for which a gang or a pod runs, counted from its start.
type Limit struct {
	// Duration is zero if no limit is known.
	Duration time.Duration
	// Source names the field that the limit was read from, such as "annotation
	// dovetail.dev/time-limit of job ml/a".
	Source string
}

// Known reports that there is a limit.
func (l Limit) Known() bool { return l.Duration > 0 }

// shorter returns the shorter of two limits, l if they are equal or other is unknown.
func (l Limit) shorter(other Limit) Limit {
	if !l.Known() || other.Known() && other.Duration < l.Duration {
		return other
	}
	return l
}

// PodRunTime returns what a pod says about its own run time, as for a pod without a gang.
func PodRunTime(pod *corev1.Pod) RunTime {
	return runTimeOf(&pod.ObjectMeta, thePod, deadlineOf(pod.Spec.ActiveDeadlineSeconds, activeDeadline, thePod))
}

// deadlineOf returns the limit in a field of an object. It ignores a value below 1: the API
// server accepts none, except for a Job that is to end at once.
func deadlineOf(seconds *int64, field, object string) Limit {
	if seconds == nil || *seconds < 1 {
		return Limit{}
	}
	return Limit{Duration: ofSeconds(*seconds), Source: field + " of " + object}
}

// runTimeOf returns what one object says: its metadata, and the limit in the object's field
// with a deadline. object is the name of the object in sentences.
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

// runTimeMistake returns a sentence about the first invalid value about the run time in the
// metadata of an object, "" if there is none.
func runTimeMistake(meta *metav1.ObjectMeta, object string) string {
	return runTimeOf(meta, object, Limit{}).Mistake
}

// runTimeReader reads the metadata of one object, and collects mistakes.
type runTimeReader struct {
	RunTime
	meta   *metav1.ObjectMeta
	object string
}

// annotation returns the duration in an annotation, zero if it is missing or invalid. limits
// reports that the annotation is about the limit.
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

// maxExecTime returns the limit in Kueue's label, zero if it is missing or invalid.
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

// ofSeconds returns seconds as a duration, the longest duration if there are too many.
func ofSeconds(seconds int64) time.Duration {
	return time.Duration(min(seconds, math.MaxInt64/int64(time.Second))) * time.Second
}

// and returns what two objects that speak for the same gang say together, r before other.
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

// itsPods is the object in the Source of a limit that the pods of a gang have.
const itsPods = "its pods"

// mergeRunTime adds to what the declaring object says about the run time what the live
// members (neither failed nor being deleted) say that have not succeeded.
func mergeRunTime(g Gang, members []Member) Gang {
	pods, n := RunTime{}, 0
	for _, m := range members {
		if !g.Has(m) || !Live(m.Pod) || isDone(m) {
			continue
		}
		own := runTimeOf(&m.Pod.ObjectMeta, itsPods, deadlineOf(m.Pod.Spec.ActiveDeadlineSeconds, activeDeadline, itsPods))
		own.Mistake = "" // a pod's mistake is reported on the pod
		if n++; n == 1 {
			pods = own
			continue
		}
		pods = pods.beside(own)
	}
	declared := g.RunTime.Limit
	g.RunTime = g.RunTime.and(pods)
	if !g.RunTime.LimitInvalid {
		g.RunTime.Declared = declared
	}
	return g
}

// beside returns what two pods of a gang say together: the gang has ended when both have,
// and an eviction loses the work of both. Of equal limits the Source that is first by name
// counts, whatever the order of the pods.
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
