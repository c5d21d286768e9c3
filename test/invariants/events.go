// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// podChanged handles an event of the pod watch. was is nil for a new pod, and is is
// nil for a deleted pod.
func (j *judge) podChanged(was, is *v1.Pod, now time.Time) {
	if is == nil {
		j.settleSuspicions(now) // Suspicions about the pod need its last state.
	}
	if was != nil {
		delete(j.pods, was.UID)
		delete(j.onNode[was.Spec.NodeName], was.UID)
	}
	if is != nil {
		j.pods[is.UID] = is
		j.addToNode(is)
	}
	j.recordNomination(was, is, now)
	j.recordPreemption(was, is, now)
	j.updateGang(was, is, now)
	if was != nil && is != nil && was.Spec.NodeName == "" && is.Spec.NodeName != "" && j.judges(is) && !j.listing {
		j.bindings++
		j.judgeBinding(is, now)
	}
}

// addToNode adds a pod to the pods that use resources of its node.
func (j *judge) addToNode(pod *v1.Pod) {
	if !occupies(pod) {
		return
	}
	if j.onNode[pod.Spec.NodeName] == nil {
		j.onNode[pod.Spec.NodeName] = map[types.UID]*v1.Pod{}
	}
	j.onNode[pod.Spec.NodeName][pod.UID] = pod
}

// updateGang updates the members of a pod's gang and records whether it meets its minimum.
func (j *judge) updateGang(was, is *v1.Pod, now time.Time) {
	pod := is
	if pod == nil {
		pod = was
	}
	key, role, isMember := membership(pod)
	if !isMember || !j.judges(pod) {
		return
	}
	g := j.gangs[key]
	if g == nil {
		g = &gang{key: key, members: map[types.UID]*member{}}
		j.gangs[key] = g
	}
	if is == nil {
		delete(g.members, was.UID)
	} else {
		g.update(is, role, now)
	}
	j.recordQuorum(g)
	if key.source == fromPodGroup {
		j.recordHierarchies()
	}
	if len(g.members) == 0 {
		delete(j.gangs, key)
	}
}

// nodeChanged handles an event of the node watch.
func (j *judge) nodeChanged(was, is *v1.Node, now time.Time) {
	name := nodeName(was, is)
	if j.nodes[name] == nil {
		j.nodes[name] = &nodeHistory{}
	}
	history := j.nodes[name]
	if last := len(history.versions) - 1; last >= 0 && history.versions[last].replaced.IsZero() {
		history.versions[last].replaced = now
	}
	if is != nil {
		history.versions = append(history.versions, nodeVersion{node: is})
	}
}

func nodeName(was, is *v1.Node) string {
	if is != nil {
		return is.Name
	}
	return was.Name
}

// rayClusterChanged, jobChanged and coschedulingChanged handle an event of the object that
// declares a gang.
func (j *judge) rayClusterChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{fromRayCluster, u.GetNamespace(), u.GetName(), u.GetUID()}
	}
	j.declare(was, is, key, declaredByRayCluster)
}

func (j *judge) jobChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{fromJob, u.GetNamespace(), u.GetName(), u.GetUID()}
	}
	j.declare(was, is, key, declaredByJob)
}

func (j *judge) coschedulingChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{source: fromCoscheduling, namespace: u.GetNamespace(), name: u.GetName()}
	}
	j.declare(was, is, key, declaredByCoscheduling)
}

// podGroupChanged handles an add, update or delete of a PodGroup of Kubernetes itself.
func (j *judge) podGroupChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{source: fromPodGroup, namespace: u.GetNamespace(), name: u.GetName()}
	}
	j.declare(was, is, key, declaredByPodGroup)
}

// compositeChanged handles an add, update or delete of a CompositePodGroup.
func (j *judge) compositeChanged(was, is *unstructured.Unstructured, _ time.Time) {
	if is == nil {
		key := compositeKey(was)
		group := j.composites[key]
		group.ended = true
		j.composites[key] = group
		return
	}
	group := composite{least: 1, parent: parentOf(is), ended: is.GetDeletionTimestamp() != nil}
	if gang, found, _ := unstructured.NestedMap(is.Object, "spec", "schedulingPolicy", "gang"); found {
		group.least = number(gang, "minGroupCount", 1)
	}
	j.composites[compositeKey(is)] = group
	j.recordHierarchies()
}

func (j *judge) declare(was, is *unstructured.Unstructured, keyOf func(*unstructured.Unstructured) gangKey,
	read func(*unstructured.Unstructured) declaration) {
	if is == nil {
		key := keyOf(was)
		j.declarations[key] = declaration{least: j.declarations[key].least, ended: true}
		return
	}
	key := keyOf(is)
	declared := read(is)
	declared.minRuntime = minRuntimeOf(is.GetAnnotations())
	j.declarations[key] = declared
	if g := j.gangs[key]; g != nil {
		j.recordQuorum(g)
	}
}

// timePassed runs the checks that depend on time, and forgets states of nodes and
// ResourceSlices that were replaced longer than j.settle ago. It finds violations in random
// order; Checker.Violations sorts them.
func (j *judge) timePassed(now time.Time) {
	j.settleSuspicions(now)
	for _, g := range j.gangs {
		j.judgeQuorum(g, now)
	}
	j.judgeHierarchies(now)
	j.judgeHeldClaims(now)
	j.judgeNominations(now)
	j.judgeClearings(now)
	settled := func(at time.Time) bool { return j.uptime(at, now) > j.settle }
	for _, history := range j.nodes {
		history.forget(settled)
	}
	j.goneSlices = slices.DeleteFunc(j.goneSlices, func(s goneSlice) bool { return settled(s.at) })
}

// leaderWorkerSetChanged handles an add, update or delete of a LeaderWorkerSet.
func (j *judge) leaderWorkerSetChanged(was, is *unstructured.Unstructured, _ time.Time) {
	u := is
	if u == nil {
		u = was
	}
	policy, _, _ := unstructured.NestedString(u.Object, "spec", "startupPolicy")
	exclusive := u.GetAnnotations()["leaderworkerset.sigs.k8s.io/exclusive-topology"] != ""
	key := gangKey{source: fromLeaderWorkerSet, namespace: u.GetNamespace(), name: u.GetName()}
	j.together[key] = is != nil && is.GetDeletionTimestamp() == nil && policy != "LeaderReady" && !exclusive
}

// volcanoChanged handles an add, update or delete of a PodGroup of Volcano.
func (j *judge) volcanoChanged(was, is *unstructured.Unstructured, _ time.Time) {
	key := func(u *unstructured.Unstructured) gangKey {
		return gangKey{source: fromVolcano, namespace: u.GetNamespace(), name: u.GetName()}
	}
	j.declare(was, is, key, declaredByCoscheduling)
}
