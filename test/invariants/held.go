// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// judgeHeldClaims checks I4 for devices: a pod without a node has no allocation.
func (j *judge) judgeHeldClaims(now time.Time) {
	for key, c := range j.claims {
		holder := j.waitingHolder(c)
		switch {
		case holder == nil:
			c.heldSince, c.reported = time.Time{}, false
		case c.heldSince.IsZero():
			c.heldSince = now
		case !c.reported && j.uptime(latest(c.heldSince, j.lastBind(holder)), now) > j.grace:
			c.reported = true
			j.reportHeld(key, holder, now)
		}
	}
}

// waitingHolder returns a pod without a node that holds the claim's allocation, or nil.
func (j *judge) waitingHolder(c *claim) *v1.Pod {
	if c.object.Status.Allocation == nil || waitsForDevices(c) {
		return nil
	}
	holders := []types.UID{ownerPod(c.object)}
	for _, consumer := range c.object.Status.ReservedFor {
		holders = append(holders, consumer.UID)
	}
	for _, uid := range holders {
		if pod := j.pods[uid]; pod != nil && j.isWaiting(pod) {
			return pod
		}
	}
	for _, consumer := range c.object.Status.ReservedFor {
		if isPodGroup(consumer) {
			return j.waitingMember(gangKey{source: fromPodGroup, namespace: c.object.Namespace, name: consumer.Name})
		}
	}
	return nil
}

func (j *judge) isWaiting(pod *v1.Pod) bool {
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && !finished(pod) && j.judges(pod)
}

// waitingMember returns the first pod by name of a gang without bound members, or nil. A
// member with a node may use the claims reserved for its PodGroup.
func (j *judge) waitingMember(key gangKey) *v1.Pod {
	var first *v1.Pod
	g := j.gangs[key]
	if g == nil {
		return nil
	}
	for _, m := range g.members {
		switch {
		case !j.isWaiting(m.pod):
			return nil
		case first == nil || m.pod.Name < first.Name:
			first = m.pod
		}
	}
	return first
}

func (j *judge) reportHeld(key claimKey, holder *v1.Pod, now time.Time) {
	c := j.claims[key]
	sentence := fmt.Sprintf("claim %s holds %d devices for %s, which has had no node for %s since",
		key, len(results(c.object)), podName(holder), elapsed(now.Sub(c.heldSince)))
	evidence := []string{fmt.Sprintf("claim %s: allocated at %s, %s", key, formatTime(c.allocated), j.reservation(key))}
	for _, result := range results(c.object) {
		evidence = append(evidence, "holds "+deviceOf(result).String())
	}
	j.report(HoldsNothing, now, sentence+j.gangProgress(holder), evidence)
}

// gangProgress describes the placed and required members of a pod's gang, or returns "".
func (j *judge) gangProgress(pod *v1.Pod) string {
	g := j.gangOf(pod)
	if g == nil {
		return ""
	}
	declared, _ := j.declaration(g)
	return fmt.Sprintf(" (gang %s: %s)", g.key, declared.least.compared(g.placed()))
}

// recordNomination records when a waiting pod got its nominatedNodeName.
func (j *judge) recordNomination(was, is *v1.Pod, now time.Time) {
	if is == nil || is.Spec.NodeName != "" || is.Status.NominatedNodeName == "" {
		if was != nil {
			delete(j.nominated, was.UID)
		}
		return
	}
	if j.nominated[is.UID] == nil && j.judges(is) {
		j.nominated[is.UID] = &nomination{since: now}
	}
}

// judgeNominations checks I4 for nodes: a gang that never met its minimum has no
// nominated node.
func (j *judge) judgeNominations(now time.Time) {
	for uid, nominated := range j.nominated {
		pod := j.pods[uid]
		g := j.gangOf(pod)
		if nominated.reported || g == nil || g.quorumMet || j.leaving(pod.Status.NominatedNodeName) ||
			j.uptime(latest(nominated.since, g.lastBind), now) <= j.grace {
			continue
		}
		nominated.reported = true
		j.report(HoldsNothing, now, fmt.Sprintf("%s has had node %s nominated for %s without being bound%s",
			podName(pod), pod.Status.NominatedNodeName, elapsed(now.Sub(nominated.since)), j.gangProgress(pod)), g.evidence())
	}
}

// leaving reports whether a pod on the node is being deleted. A nomination may then wait
// until a preemption is complete.
func (j *judge) leaving(node string) bool {
	for _, pod := range j.onNode[node] {
		if pod.DeletionTimestamp != nil {
			return true
		}
	}
	return false
}
