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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// source is a way of declaring a gang. Its value is the kind of the declaring object,
// or "label" for a gang that its pods declare themselves.
type source string

const (
	fromRayCluster source = "RayCluster"
	// fromCoscheduling is the PodGroup of scheduler-plugins.
	fromCoscheduling source = "PodGroup"
	// fromPodGroup is a PodGroup of Kubernetes itself.
	fromPodGroup source = "scheduling.k8s.io PodGroup"
	// fromLabel is Dovetail's own label on pods, without another object.
	fromLabel source = "label"
	fromJob   source = "Job"
)

const (
	coschedulingLabel = "scheduling.x-k8s.io/pod-group"
	rayGroupLabel     = "ray.io/group"
	rayNodeTypeLabel  = "ray.io/node-type"
	rayAPIGroup       = "ray.io/"
	gangNameLabel     = "dovetail.dev/gang-name"
	gangMinimum       = "dovetail.dev/gang-min"
	gangMark          = "dovetail.dev/gang"
	batchAPIGroup     = "batch/"
)

// gangKey identifies a gang. Pods name their PodGroup without its UID, so uid
// is empty for PodGroups.
type gangKey struct {
	source          source
	namespace, name string
	uid             types.UID
}

func (k gangKey) String() string {
	return fmt.Sprintf("%s %s/%s", k.source, k.namespace, k.name)
}

// role names the members of a gang that share a minimum, such as the pods of a worker group.
type role string

const (
	// anyRole is the only role of a gang whose pods all have the same role.
	anyRole role = "member"
	// headRole is the role of the Ray head. The name of a worker group is the role of its
	// pods.
	headRole role = "headgroup"
)

// membership returns the gang and the role of a pod, or false if the pod is in no gang.
func membership(pod *v1.Pod) (gangKey, role, bool) {
	if group := pod.Spec.SchedulingGroup; group != nil && group.PodGroupName != nil {
		return gangKey{source: fromPodGroup, namespace: pod.Namespace, name: *group.PodGroupName}, anyRole, true
	}
	owner := metav1.GetControllerOf(pod)
	if owner != nil && owner.Kind == string(fromRayCluster) && strings.HasPrefix(owner.APIVersion, rayAPIGroup) {
		return rayMembership(pod, owner)
	}
	if name := pod.Labels[coschedulingLabel]; name != "" {
		return gangKey{source: fromCoscheduling, namespace: pod.Namespace, name: name}, anyRole, true
	}
	if key, as, ok := otherSchedulersGang(pod); ok {
		return key, as, ok
	}
	marked := pod.Labels[gangMark] == "true" || pod.Annotations[gangMark] == "true"
	if marked && owner != nil && owner.Kind == string(fromJob) && strings.HasPrefix(owner.APIVersion, batchAPIGroup) {
		return gangKey{fromJob, pod.Namespace, owner.Name, owner.UID}, anyRole, true
	}
	if name := pod.Labels[gangNameLabel]; name != "" {
		return gangKey{source: fromLabel, namespace: pod.Namespace, name: name}, anyRole, true
	}
	return gangKey{}, "", false
}

// rayMembership returns the gang and the role of a pod of a RayCluster.
func rayMembership(pod *v1.Pod, owner *metav1.OwnerReference) (gangKey, role, bool) {
	key := gangKey{fromRayCluster, pod.Namespace, owner.Name, owner.UID}
	switch pod.Labels[rayNodeTypeLabel] {
	case "head":
		return key, headRole, true
	case "worker":
		return key, role(pod.Labels[rayGroupLabel]), true
	}
	return gangKey{}, "", false
}

// quorum is the minimum number of members of each role.
type quorum map[role]int64

// metBy reports whether each role has its minimum.
func (q quorum) metBy(have quorum) bool {
	for r, least := range q {
		if have[r] < least {
			return false
		}
	}
	return true
}

// compared lists present and required members of each role: "head 1 of 1, gpu 3 of 4".
func (q quorum) compared(have quorum) string {
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(q)) {
		parts = append(parts, fmt.Sprintf("%s %d of %d", r, have[r], q[r]))
	}
	return strings.Join(parts, ", ")
}

// declaration is the present minimum of a gang, read from its object or its pods.
type declaration struct {
	least quorum
	// ended is true when the object is deleted, being deleted, or suspended.
	ended bool
	// parent is the name of the CompositePodGroup above a PodGroup of Kubernetes, or "".
	parent string
	// oneByOne is true if a PodGroup of Kubernetes allows that its pods are evicted one by one.
	oneByOne bool
	// minRuntime is the time for which the object asks that the gang runs undisturbed.
	minRuntime time.Duration
}

// member is a pod of a gang as last seen.
type member struct {
	pod  *v1.Pod
	role role
	// bound is the time at which the checker first saw the pod with a node.
	bound time.Time
}

// gang is the state of a gang besides its declaration.
type gang struct {
	key     gangKey
	members map[types.UID]*member
	// lastBind is the time at which a member last got its node.
	lastBind time.Time
	// quorumMet is true if the gang has met its minimum since the time at which it last held no
	// node.
	quorumMet bool
	// reported is true after a report on the gang. It is reset when the gang holds no node or meets
	// its minimum.
	reported bool
}

// holding counts the members that occupy a node and are not being deleted.
func (g *gang) holding() int {
	count := 0
	for _, m := range g.members {
		if occupies(m.pod) && m.pod.DeletionTimestamp == nil {
			count++
		}
	}
	return count
}

// placed counts the members of each role that have a node, finished members included.
// Finished pods of a Job do not count: the minimum of a Job excludes them.
func (g *gang) placed() quorum {
	count := quorum{}
	for _, m := range g.members {
		if m.pod.Spec.NodeName != "" && (g.key.source != fromJob || !finished(m.pod)) {
			count[m.role]++
		}
	}
	return count
}

// evidence describes each member, ordered by name.
func (g *gang) evidence() []string {
	var lines []string
	for _, m := range slices.SortedFunc(maps.Values(g.members), func(a, b *member) int {
		return strings.Compare(a.pod.Name, b.pod.Name)
	}) {
		lines = append(lines, m.describe())
	}
	return lines
}

func (m *member) describe() string {
	if m.pod.Spec.NodeName == "" {
		return fmt.Sprintf("pod %s (%s): no node", m.pod.Name, m.role)
	}
	state := string(m.pod.Status.Phase)
	if m.pod.DeletionTimestamp != nil {
		state += ", being deleted"
	}
	return fmt.Sprintf("pod %s (%s): on %s since %s, %s", m.pod.Name, m.role, m.pod.Spec.NodeName, formatTime(m.bound), state)
}

// occupies reports whether a pod consumes resources of a node.
func occupies(pod *v1.Pod) bool {
	return pod.Spec.NodeName != "" && !finished(pod)
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// update records a member's new state.
func (g *gang) update(pod *v1.Pod, as role, now time.Time) {
	m := g.members[pod.UID]
	if m == nil {
		m = &member{}
		g.members[pod.UID] = m
	}
	m.pod, m.role = pod, as
	if pod.Spec.NodeName != "" && m.bound.IsZero() {
		m.bound, g.lastBind = now, now
	}
}

const fromComposite source = "CompositePodGroup"

// composite is the present state of a CompositePodGroup.
type composite struct {
	// parent is the name of the CompositePodGroup above, or "".
	parent string
	// least is the number of groups below it that must meet their own minimum.
	least int64
	ended bool
}

// hierarchy records, for I1 (no gang stays bound below its minimum), whether the PodGroups
// below a root CompositePodGroup met their minimum.
type hierarchy struct {
	quorumMet, reported bool
}
