// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// minRuntimeAnnotation is the time for which a gang or a pod is to run undisturbed.
const (
	minRuntimeAnnotation = "dovetail.dev/min-runtime"
	longestMinRuntime    = 24 * time.Hour
)

// minRuntimeOf returns the time in the annotation, 0 if there is none or if it is invalid.
func minRuntimeOf(annotations map[string]string) time.Duration {
	least, err := time.ParseDuration(annotations[minRuntimeAnnotation])
	if err != nil {
		return 0
	}
	return min(max(0, least), longestMinRuntime)
}

// judgePriority checks I9: the victim has a lower priority than its preemptor, both as the
// condition and as the preemptor's pods have it.
func (j *judge) judgePriority(pod *v1.Pod, m *mark, now time.Time) {
	above := m.priority
	if members := j.membersOf(m.preemptor); len(members) > 0 {
		highest := slices.MaxFunc(members, func(a, b *v1.Pod) int { return int(priorityOf(a) - priorityOf(b)) })
		above = min(above, priorityOf(highest))
	}
	if own := priorityOf(pod); own >= above {
		j.report(WholeOrMinimum, now, fmt.Sprintf("%s of priority %d was evicted for %s of priority %d", podName(pod), own, m.preemptor, above),
			[]string{fmt.Sprintf("on %s, evicted at %s", pod.Spec.NodeName, formatTime(now))})
	}
}

// recordLoss records the eviction of a member of a gang. It checks I9 at once for a pod without a
// gang.
func (j *judge) recordLoss(pod *v1.Pod, m *mark, now time.Time) {
	key, _, isMember := membership(pod)
	g := j.gangs[key]
	if !isMember || g == nil {
		j.judgeAge(podName(pod), m.preemptor, j.ageOf([]*v1.Pod{pod}, now), 0, now)
		return
	}
	l := j.losses[key]
	if l == nil {
		l = &loss{had: map[types.UID]member{}, evicted: map[types.UID]bool{}, first: now}
		j.losses[key] = l
		var pods []*v1.Pod
		for uid, held := range g.members {
			_, marked := j.marks[uid]
			counts := key.source != fromJob || !finished(held.pod)
			if held.pod.Spec.NodeName != "" && (held.pod.DeletionTimestamp == nil || marked) && counts {
				l.had[uid] = *held
				pods = append(pods, held.pod)
			}
		}
		l.age = j.ageOf(pods, now)
	}
	l.evicted[pod.UID], l.last, l.preemptor = true, now, m.preemptor
}

// judgeLosses checks I9 for gangs whose last eviction is longer than Grace ago.
func (j *judge) judgeLosses(now time.Time) {
	for key, l := range j.losses {
		if j.uptime(l.last, now) > j.grace {
			delete(j.losses, key)
			j.judgeLoss(key, l, now)
		}
	}
}

// judgeLoss checks that the members which were not evicted are a quorum, or that they are gone,
// too. In the second case the gang must have run for its minimum time.
func (j *judge) judgeLoss(key gangKey, l *loss, now time.Time) {
	declared, known := j.declarations[key], true
	g := j.gangs[key]
	if g != nil {
		declared, known = j.declaration(g)
	}
	kept, remain := quorum{}, []string(nil)
	for uid, m := range l.had {
		if l.evicted[uid] {
			continue
		}
		kept[m.role]++
		if pod := j.pods[uid]; pod != nil && isActive(pod) {
			remain = append(remain, podName(pod)+" runs on "+pod.Spec.NodeName)
		}
	}
	declaredHere := known && len(declared.least) > 0
	switch {
	case len(remain) > 0 && (!declaredHere || declared.ended || declared.oneByOne || declared.least.metBy(kept)):
	case len(remain) > 0:
		slices.Sort(remain)
		j.report(WholeOrMinimum, now, fmt.Sprintf("gang %s: %d of %d members were evicted for %s, which left it below its minimum (%s)",
			key, len(l.evicted), len(l.had), l.preemptor, declared.least.compared(kept)), remain)
	default:
		if c := j.clearings[l.preemptor]; c != nil {
			c.past["gang "+key.String()] = true
		}
		j.judgeAge("gang "+key.String(), l.preemptor, l.age, declared.minRuntime, now)
	}
}

// ageOf returns the age of pods that are evicted now.
func (j *judge) ageOf(pods []*v1.Pod, now time.Time) age {
	a := age{}
	for _, pod := range pods {
		a.ran = max(a.ran, now.Sub(j.startOf(pod)))
		a.least = max(a.least, minRuntimeOf(pod.Annotations))
	}
	return a
}

// judgeAge checks I9: pods that were evicted together had run for the time that the options, their
// annotations, or declared ask for.
func (j *judge) judgeAge(subject string, p preemptor, of age, declared time.Duration, now time.Time) {
	if least := max(j.minRuntime, declared, of.least); of.ran < least {
		j.report(WholeOrMinimum, now, fmt.Sprintf("%s was evicted for %s after it had run for %s of %s", subject, p, elapsed(of.ran), least), nil)
	}
}

// startOf returns when the pod got its node or, if the checker did not see that, the start that its
// kubelet reported. It returns zero if neither is known.
func (j *judge) startOf(pod *v1.Pod) time.Time {
	if bound := j.bound[pod.UID]; bound.exact {
		return bound.at
	}
	if pod.Status.StartTime != nil {
		return pod.Status.StartTime.Time
	}
	return time.Time{}
}

// devicesOf returns the devices that only the claims of this pod have.
func (j *judge) devicesOf(pod *v1.Pod) []deviceID {
	var found []deviceID
	for _, name := range claimNames(pod) {
		c := j.claims[claimKey{pod.Namespace, name}]
		if c == nil || len(c.object.Status.ReservedFor) > 1 {
			continue
		}
		for _, result := range results(c.object) {
			if result.ShareID == nil && (result.AdminAccess == nil || !*result.AdminAccess) {
				found = append(found, deviceOf(result))
			}
		}
	}
	return found
}

// mayNotTake reports whether a pod may not be placed in the room of a clearing: Dovetail schedules
// it, it is not the preemptor's, and its priority is not higher.
func (j *judge) mayNotTake(c *clearing, pod *v1.Pod) bool {
	return j.judges(pod) && priorityOf(pod) <= c.priority && !j.isMember(c.preemptor, pod) && c.victims[pod.UID] == nil
}

// recordTaker records the binding of a pod in the room of victims.
func (j *judge) recordTaker(pod *v1.Pod, now time.Time) {
	for _, c := range j.clearings {
		if c.closed || !j.mayNotTake(c, pod) {
			continue
		}
		if resource := j.takes(c, pod); resource != "" {
			c.takers = append(c.takers, fmt.Sprintf("%s of priority %d took %s of node %s at %s",
				podName(pod), priorityOf(pod), resource, pod.Spec.NodeName, formatTime(now)))
		}
	}
}

// takes returns the resource of which a pod on its node takes a part of what the victims there
// had, "" if it takes only what was free beside the victims.
func (j *judge) takes(c *clearing, pod *v1.Pod) string {
	node, history := pod.Spec.NodeName, j.nodes[pod.Spec.NodeName]
	if history == nil || len(history.versions) == 0 {
		return ""
	}
	cleared, others := map[types.UID]*v1.Pod{}, map[types.UID]*v1.Pod{}
	for uid, v := range c.victims {
		if v.pod.Spec.NodeName == node {
			cleared[uid] = v.pod
		}
	}
	for uid, other := range j.onNode[node] {
		if cleared[uid] == nil && !j.isMember(c.preemptor, other) {
			others[uid] = other
		}
	}
	allocatable := history.versions[len(history.versions)-1].node.Status.Allocatable
	freed, used, wanted := totalRequests(cleared), totalRequests(others), requests(pod)
	var names []string
	for name, amount := range wanted {
		spare, had := allocatable[name].DeepCopy(), freed[name]
		spare.Sub(used[name])
		if amount.Sign() > 0 && had.Sign() > 0 && spare.Cmp(had) < 0 {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " and ")
}

// deviceTakers describes the pods that have a device of a victim and may not.
func (j *judge) deviceTakers(c *clearing) []string {
	of := map[deviceID]bool{}
	for _, v := range c.victims {
		for _, device := range v.devices {
			of[device] = true
		}
	}
	var takers []string
	for _, held := range j.claims {
		for _, result := range results(held.object) {
			if !of[deviceOf(result)] {
				continue
			}
			for _, consumer := range held.object.Status.ReservedFor {
				pod := j.pods[consumer.UID]
				if pod != nil && j.mayNotTake(c, pod) && j.bound[pod.UID].exact && !j.bound[pod.UID].at.Before(c.began) {
					takers = append(takers, fmt.Sprintf("%s of priority %d took device %s", podName(pod), priorityOf(pod), deviceOf(result)))
				}
			}
		}
	}
	return takers
}
