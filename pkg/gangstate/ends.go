// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// minPrediction is the shortest time for which running pods are predicted to run on.
const minPrediction = 30 * time.Second

// expectedEnd is the time at which pods are expected to end. predicted is false if it follows
// from a time limit.
type expectedEnd struct {
	at        time.Time
	predicted bool
}

// ends has the times at which running pods are expected to end, as of the time now. It does not
// change, and needs no lock.
type ends struct {
	now     time.Time
	sources gangs.Sources
	// long is the time above which a limit is too long to be taken for the run time.
	long  time.Duration
	gangs map[gangs.Key]expectedEnd
	// single has the run times of pods without a gang.
	single *recentRunTimes
}

// forecast returns when the running pods are expected to end. Pods of gangs that the scheduler's
// own PodGroup cycles place are expected to end one by one.
func (t *Tracker) forecast(now time.Time) gangs.Forecast {
	e := &ends{
		now: now, sources: t.options.Sources, long: t.options.MaxBypass, gangs: map[gangs.Key]expectedEnd{},
		single: t.runTimes[sizeClass(1)].clone(),
	}
	for key, g := range t.gangs {
		if !g.run.began.IsZero() {
			e.gangs[key] = e.ofGang(g, t.runTimes[sizeClass(g.run.most)])
		}
	}
	return gangs.Forecast{Now: now, Of: e.of}
}

// of returns when a running pod is expected to end, and whether that is a prediction. set is the
// name of the pods that end together: the pod's gang, or the pod alone.
func (e *ends) of(pod *v1.Pod) (set string, at time.Time, predicted bool) {
	if key, ok := e.sources.Key(pod); ok && gangs.Live(pod) {
		if end, known := e.gangs[key]; known {
			return key.String(), end.at, end.predicted
		}
	}
	set = "pod " + pod.Namespace + "/" + pod.Name
	if gone := pod.DeletionTimestamp; gone != nil { // the time of the deletion and the grace period
		return set, gone.Time, false
	}
	running := time.Duration(0)
	if pod.Status.StartTime != nil {
		running = e.now.Sub(pod.Status.StartTime.Time)
	}
	end := e.expect(e.single.remaining(running), gangs.PodRunTime(pod).Limit.Duration, gangs.PodEnds(pod))
	return set, end.at, end.predicted
}

// ofGang returns when a running gang is expected to end. known are the run times of its size
// class.
func (e *ends) ofGang(g *Gang, known *recentRunTimes) expectedEnd {
	remaining, members := known.remaining(e.now.Sub(g.run.began)), g.sorted()
	declared, err := g.sources.Gang(g.key, members)
	if err != nil {
		return e.expect(remaining, 0, time.Time{})
	}
	limit, limited := declared.RunTimeWith(members).Limit.Duration, declared.Ends(members)
	if limit > 0 && limited.IsZero() { // no kubelet has reported the start of a pod yet
		limited = g.run.began.Add(limit)
	}
	return e.expect(remaining, limit, limited)
}

// expect returns when running pods are expected to end. remaining is the prediction how much
// longer they run. limit is their time limit and limited the end that follows from it, both zero
// without a limit. Users often declare a limit that is far above the run time. So a limit above
// e.long counts only if it ends the pods before their predicted end. A limit that the pods have
// outlived does not count.
func (e *ends) expect(remaining, limit time.Duration, limited time.Time) expectedEnd {
	predicted := e.now.Add(max(minPrediction, remaining))
	if limited.After(e.now) && (limit <= e.long || limited.Before(predicted)) {
		return expectedEnd{at: limited}
	}
	return expectedEnd{at: predicted, predicted: true}
}
