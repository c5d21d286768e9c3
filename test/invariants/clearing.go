// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// resumeClearings lets the next eviction for each preemptor continue its present clearing.
func (j *judge) resumeClearings() {
	for _, c := range j.clearings {
		c.resumed = true
	}
}

// recordPreemption handles an event of the pod watch. It runs before the gang of the pod is
// updated, so that the members of the gang include a pod that leaves.
func (j *judge) recordPreemption(was, is *v1.Pod, now time.Time) {
	pod := is
	if is == nil {
		pod = was
	}
	if is != nil && !j.listing {
		j.recordMark(is, now)
		j.recordSentence(was, is)
	}
	j.recordMember(was, is)
	j.recordLeaving(pod, is == nil || !isActive(is), is == nil || finished(is), now)
	if is == nil {
		delete(j.marks, pod.UID)
		delete(j.bound, pod.UID)
		return
	}
	if _, known := j.bound[is.UID]; !known && is.Spec.NodeName != "" {
		j.bound[is.UID] = boundSince{at: now, exact: was != nil && !j.listing}
		if j.bound[is.UID].exact {
			j.recordTaker(is, now)
		}
	}
}

// recordMember records for the preemptors of the present clearings that a member got a node, or
// ended.
func (j *judge) recordMember(was, is *v1.Pod) {
	pod := is
	if is == nil {
		pod = was
	}
	binds := is != nil && is.Spec.NodeName != "" && (was == nil || was.Spec.NodeName == "")
	ends := was != nil && isActive(was) && (is == nil || !isActive(is))
	if !binds && !ends {
		return
	}
	for _, c := range j.clearings {
		if j.isMember(c.preemptor, pod) {
			c.bound, c.ended = c.bound || binds, c.ended || ends
		}
	}
}

// recordMark records the preemptor that the condition of a pod with a node names.
func (j *judge) recordMark(pod *v1.Pod, now time.Time) {
	p, priority, ok := preemptorOf(pod)
	known := j.marks[pod.UID]
	if !ok || pod.Spec.NodeName == "" || known != nil && (known.evicted || known.preemptor == p) {
		return
	}
	j.marks[pod.UID] = &mark{preemptor: p, priority: priority, at: now}
}

// recordLeaving records the eviction of a marked pod when the pod begins to leave, and the end of
// the pod. A pod that leaves later than Grace after its mark was not evicted, because the API
// server had refused.
func (j *judge) recordLeaving(pod *v1.Pod, leaves, gone bool, now time.Time) {
	m := j.marks[pod.UID]
	if m == nil || !leaves {
		return
	}
	if !m.evicted && j.uptime(m.at, now) <= j.grace {
		m.evicted = true
		j.recordEviction(pod, m, now)
	}
	c := j.clearings[m.preemptor]
	if !m.evicted || !gone || c == nil || c.victims[pod.UID] == nil || c.victims[pod.UID].gone {
		return
	}
	c.victims[pod.UID].gone = true
	if c.leaving() == 0 {
		c.gone, c.failed = now, ""
	}
}

// recordEviction adds a pod to the clearing for its preemptor, and checks I9 and I10 for it.
func (j *judge) recordEviction(pod *v1.Pod, m *mark, now time.Time) {
	j.counts.Pods++
	c := j.clearings[m.preemptor]
	if c != nil && j.placedSince(c) {
		j.close(c, true)
		c = nil
	}
	if c == nil {
		c = &clearing{preemptor: m.preemptor, past: map[string]bool{}, closed: true}
		j.clearings[m.preemptor] = c
	}
	if c.closed || j.uptime(c.last, now) > j.grace && !c.resumed {
		j.beginClearing(c, pod, m, now)
	}
	c.last, c.gone, c.resumed = now, time.Time{}, false
	c.victims[pod.UID] = &victim{pod: pod, since: now, devices: j.devicesOf(pod)}
	j.judgeRepeated(c, pod, now)
	j.judgePriority(pod, m, now)
	j.recordLoss(pod, m, now)
}

// beginClearing begins a new set of evictions for a preemptor. It checks I10: pods evicted for it
// before do not leave any more.
func (j *judge) beginClearing(c *clearing, pod *v1.Pod, m *mark, now time.Time) {
	j.counts.Clearings++
	leaving := 0
	for _, v := range c.victims {
		if !v.gone && !j.stuck(v, now) {
			leaving++
		}
		c.past[podName(v.pod)] = true
	}
	if leaving > 0 {
		j.report(OneClearing, now, fmt.Sprintf("%s was evicted for %s while %d pods that were evicted for it before are still leaving",
			podName(pod), m.preemptor, leaving), c.evidence())
	}
	*c = clearing{preemptor: m.preemptor, priority: m.priority, victims: map[types.UID]*victim{}, began: now, past: c.past}
}

// judgeRepeated checks I10: no earlier clearing for the preemptor evicted a pod of this name, or
// the pod's whole gang.
func (j *judge) judgeRepeated(c *clearing, pod *v1.Pod, now time.Time) {
	subjects := []string{podName(pod)}
	if key, _, ok := membership(pod); ok {
		subjects = append(subjects, "gang "+key.String())
	}
	for _, subject := range subjects {
		if c.past[subject] {
			delete(c.past, subject) // one report
			j.report(OneClearing, now, fmt.Sprintf("%s was evicted for %s a second time, though the %s was not placed in between",
				subject, c.preemptor, c.preemptor.kind), c.evidence())
		}
	}
}

// stuckAfter is the time after which an evicted pod that is still there counts as one that does
// not end, besides its termination grace period.
const stuckAfter = 2 * time.Minute

// stuck reports whether a victim should have been gone long ago.
func (j *judge) stuck(v *victim, now time.Time) bool {
	period := stuckAfter
	if seconds := v.pod.Spec.TerminationGracePeriodSeconds; seconds != nil {
		period += time.Duration(*seconds) * time.Second
	}
	return j.uptime(v.since, now) > period
}

// waitingSentences are parts of the sentences of a preemptor that waits for its victims.
var waitingSentences = []string{"evicting", "pods that are ending", "pod that is ending"}

// recordSentence records why the preemptor was not placed, from the PodScheduled condition of a
// member, if the condition changed after the victims were gone.
func (j *judge) recordSentence(was, is *v1.Pod) {
	text := sentenceOf(is)
	if text == "" || was != nil && text == sentenceOf(was) {
		return
	}
	for _, c := range j.clearings {
		if !c.gone.IsZero() && !c.closed && j.isMember(c.preemptor, is) {
			c.failed = text
		}
	}
}

// sentenceOf returns the message of the pod's PodScheduled condition if it is about anything but
// a wait for victims.
func sentenceOf(pod *v1.Pod) string {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		waits := slices.ContainsFunc(waitingSentences, func(part string) bool { return strings.Contains(c.Message, part) })
		if c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse && !waits {
			return c.Message
		}
	}
	return ""
}

// judgeClearings checks I8 and I11 for the clearings whose victims are gone, and I9 for the gangs
// of the victims.
func (j *judge) judgeClearings(now time.Time) {
	for _, c := range j.clearings {
		if !c.closed {
			j.judgeClearing(c, now)
		}
	}
	j.judgeLosses(now)
}

func (j *judge) judgeClearing(c *clearing, now time.Time) {
	leaving := c.leaving() > 0
	due := !leaving && j.uptime(c.gone, now) > j.placement
	switch {
	case j.placedSince(c):
		j.close(c, true)
		return
	case (due || c.ended) && !j.mayStart(c.preemptor):
		delete(j.clearings, c.preemptor)
		return
	case leaving:
		c.closed = slices.ContainsFunc(slices.Collect(maps.Values(c.victims)), func(v *victim) bool { return !v.gone && j.stuck(v, now) })
	}
	if c.ended = false; due {
		j.judgeUnplaced(c, now)
	}
}

// judgeUnplaced checks I8 and I11 for a clearing whose preemptor is still there and was not placed
// in time.
func (j *judge) judgeUnplaced(c *clearing, now time.Time) {
	j.close(c, false)
	takers := append(slices.Clone(c.takers), j.deviceTakers(c)...)
	switch {
	case len(takers) > 0:
		slices.Sort(takers)
		j.report(RoomIsKept, now, fmt.Sprintf("%s was not placed within %s after its victims were gone, and pods of no higher priority were placed in their room: %s",
			c.preemptor, elapsed(now.Sub(c.gone)), strings.Join(slices.Compact(takers), "; ")), c.evidence())
	case c.failed == "":
		j.report(NothingInVain, now, fmt.Sprintf("%d pods were evicted for %s, which was not placed within %s after they were gone and does not say why",
			len(c.victims), c.preemptor, elapsed(now.Sub(c.gone))), c.evidence())
	}
}

// close ends a clearing. The preemptor of an unplaced one may begin another.
func (j *judge) close(c *clearing, placed bool) {
	if placed {
		j.counts.Placed++
		delete(j.clearings, c.preemptor)
		return
	}
	j.counts.Useless++
	c.closed = true
}
