// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

var sources = gangs.Sources{gangs.NewLabelSource()}

// keyOf returns the gang key of a job.
func keyOf(e *entry) gangs.Key {
	key, _ := sources.Key(e.pods[0].object)
	return key
}

// members sends the events of the jobs' pods to the tracker of the gangs' states, as the
// scheduler's informers do. Most effects that the tracker returns need no action, because every
// pass of the scheduler considers all waiting jobs.
type members struct {
	tracker *gangstate.Tracker
	known   map[*entry]bool
	// running holds the bound pods of each running job.
	running map[*entry][]*v1.Pod
}

func newMembers(p policy) members {
	tracker := gangstate.New(gangstate.Options{
		Profile: profileName, Sources: sources, Exists: func(*v1.Pod) bool { return true },
		MaxBypass: p.maxBypass, Backfill: p.backfill,
	})
	return members{tracker: tracker, known: map[*entry]bool{}, running: map[*entry][]*v1.Pod{}}
}

// add adds the pods of a job, and reports whether the job is new.
func (m *members) add(e *entry, now time.Time) bool {
	if m.known[e] {
		return false
	}
	m.known[e] = true
	for _, p := range e.pods {
		m.tracker.Upsert(p.object, now)
	}
	return true
}

// tick passes the time to the tracker and returns the gangs that may be planned again.
func (m *members) tick(now time.Time) map[gangs.Key]bool {
	retry := map[gangs.Key]bool{}
	effects := m.tracker.Tick(now)
	for _, pod := range effects.Activate {
		if key, ok := sources.Key(pod); ok {
			retry[key] = true
		}
	}
	return retry
}

// bound records that all pods of a job are bound.
func (m *members) bound(e *entry, now time.Time) {
	for _, p := range e.pods {
		pod := p.object.DeepCopy()
		pod.Spec.NodeName, pod.Status.Phase = p.machine.node.Name, v1.PodRunning
		pod.Status.StartTime = &metav1.Time{Time: now}
		m.tracker.Upsert(pod, now)
		m.running[e] = append(m.running[e], pod)
	}
}

// eraseEnded records that the pods of ended jobs succeeded and were deleted.
func (m *members) eraseEnded(now time.Time) {
	for e, pods := range m.running {
		if !e.ended {
			continue
		}
		delete(m.running, e)
		for i, pod := range pods {
			pods[i] = pod.DeepCopy()
			pods[i].Status.Phase = v1.PodSucceeded
			m.tracker.Upsert(pods[i], now)
		}
		for _, pod := range pods {
			m.tracker.Erase(pod, now)
		}
	}
}
