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

// End is the time at which pods are expected to end.
type End struct {
	At time.Time
	// Predicted is true if At is a prediction, false if it follows from a time limit.
	Predicted bool
}

// Ends has the times at which running pods are expected to end, as of the time Now. It does not
// change, and needs no lock.
type Ends struct {
	Now     time.Time
	sources gangs.Sources
	// long is the time above which a limit is too long to be taken for the run time.
	long  time.Duration
	gangs map[gangs.Key]End
}

// ends returns when the running pods are expected to end. It does not contain gangs that the
// scheduler's own PodGroup cycles place.
func (t *Tracker) ends(now time.Time) *Ends {
	e := &Ends{Now: now, sources: t.options.Sources, long: t.options.MaxBypass, gangs: map[gangs.Key]End{}}
	for key, g := range t.gangs {
		if !g.run.began.IsZero() {
			e.gangs[key] = e.ofGang(g)
		}
	}
	return e
}

// Of returns when a running pod is expected to end, and the name of the set of pods that end
// together: the pod's gang, or the pod alone.
func (e *Ends) Of(pod *v1.Pod) (set string, end End) {
	if key, ok := e.sources.Key(pod); ok {
		if end, known := e.gangs[key]; known {
			return key.String(), end
		}
	}
	began := e.Now
	if pod.Status.StartTime != nil {
		began = pod.Status.StartTime.Time
	}
	return "pod " + pod.Namespace + "/" + pod.Name, e.expect(began, gangs.PodRunTime(pod).Limit.Duration, gangs.PodEnds(pod))
}

// ofGang returns when a running gang is expected to end.
func (e *Ends) ofGang(g *Gang) End {
	members := g.sorted()
	declared, err := g.sources.Gang(g.key, members)
	if err != nil {
		return e.expect(g.run.began, 0, time.Time{})
	}
	return e.expect(g.run.began, declared.RunTimeWith(members).Limit.Duration, declared.Ends(members))
}

// expect returns when pods that have been running since began are expected to end. limit is
// their time limit and limited the end that follows from it, both zero without a limit. Users
// often declare a limit that is far above the run time. So a limit above e.long counts only if
// it ends the pods before their predicted end: pods are predicted to run as long again as they
// have run. This also holds for pods that outlive their limit.
func (e *Ends) expect(began time.Time, limit time.Duration, limited time.Time) End {
	predicted := e.Now.Add(max(minPrediction, e.Now.Sub(began)))
	if limited.After(e.Now) && (limit <= e.long || limited.Before(predicted)) {
		return End{At: limited}
	}
	return End{At: predicted, Predicted: true}
}
