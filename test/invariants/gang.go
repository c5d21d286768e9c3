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

// source is a way of declaring a gang; its value is the kind of the declaring object,
// or what the pods have in its place.
type source string

const (
	fromRayCluster   source = "RayCluster"
	fromCoscheduling source = "PodGroup"
	// fromPodGroup is a PodGroup of Kubernetes itself.
	fromPodGroup source = "scheduling.k8s.io PodGroup"
	// fromLabel is Dovetail's own label, on pods alone.
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

// gangKey identifies a gang. Pods name their PodGroup without its uid, so uid
// is empty for that source.
type gangKey struct {
	source          source
	namespace, name string
	uid             types.UID
}

func (k gangKey) String() string {
	return fmt.Sprintf("%s %s/%s", k.source, k.namespace, k.name)
}

// role names the members of a gang that have the same shape.
type role string

const (
	// anyRole is the only role of a gang whose pods are not told apart.
	anyRole role = "member"
	// headRole is the role of the Ray head; worker groups are roles by their name.
	headRole role = "headgroup"
)

// membership says which gang a pod is in, and as what; false if it is in none.
func membership(pod *v1.Pod) (gangKey, role, bool) {
	if group := pod.Spec.SchedulingGroup; group != nil && group.PodGroupName != nil {
		return gangKey{source: fromPodGroup, namespace: pod.Namespace, name: *group.PodGroupName}, anyRole, true
	}
	owner := metav1.GetControllerOf(pod)
	if owner != nil && owner.Kind == string(fromRayCluster) && strings.HasPrefix(owner.APIVersion, rayAPIGroup) {
		key := gangKey{fromRayCluster, pod.Namespace, owner.Name, owner.UID}
		switch pod.Labels[rayNodeTypeLabel] {
		case "head":
			return key, headRole, true
		case "worker":
			return key, role(pod.Labels[rayGroupLabel]), true
		}
		return gangKey{}, "", false
	}
	if name := pod.Labels[coschedulingLabel]; name != "" {
		return gangKey{source: fromCoscheduling, namespace: pod.Namespace, name: name}, anyRole, true
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

// quorum is how many members of each role a gang needs at least.
type quorum map[role]int64

// metBy says whether each role has its minimum.
func (q quorum) metBy(have quorum) bool {
	for r, least := range q {
		if have[r] < least {
			return false
		}
	}
	return true
}

// compared writes what is there beside what is needed, role by role: "head 1 of 1, gpu 3 of 4".
func (q quorum) compared(have quorum) string {
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(q)) {
		parts = append(parts, fmt.Sprintf("%s %d of %d", r, have[r], q[r]))
	}
	return strings.Join(parts, ", ")
}

// declaration is what the RayCluster or PodGroup of a gang says now.
type declaration struct {
	least quorum
	// ended says that the object is deleted, being deleted, or suspended.
	ended bool
	// parent is the CompositePodGroup that a PodGroup of Kubernetes is in, "" for none.
	parent string
}

// member is a pod of a gang as last seen.
type member struct {
	pod  *v1.Pod
	role role
	// bound is when the checker first saw it with a node.
	bound time.Time
}

// gang is what the checker remembers of a gang besides its declaration.
type gang struct {
	key     gangKey
	members map[types.UID]*member
	// lastBind is the last moment at which a member got its node.
	lastBind time.Time
	// quorumMet says that the minimum was met since the gang last held nothing.
	quorumMet bool
	// reported keeps one broken episode from being reported again and again.
	reported bool
}

// holding counts the members that occupy a node and are here to stay.
func (g *gang) holding() int {
	count := 0
	for _, m := range g.members {
		if occupies(m.pod) && m.pod.DeletionTimestamp == nil {
			count++
		}
	}
	return count
}

// placed counts, role by role, the members that ever got a node and still exist. Of a
// Job those that are finished do not count: its minimum is of the pods that are left
// to run.
func (g *gang) placed() quorum {
	count := quorum{}
	for _, m := range g.members {
		if m.pod.Spec.NodeName != "" && (g.key.source != fromJob || !finished(m.pod)) {
			count[m.role]++
		}
	}
	return count
}

// evidence tells of each member where it is, in the order of names.
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

// occupies says whether a pod takes room on a node.
func occupies(pod *v1.Pod) bool {
	return pod.Spec.NodeName != "" && !finished(pod)
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// update takes in a member's new state.
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

// composite is what a CompositePodGroup says now.
type composite struct {
	// parent is the one that it is in, "" for none.
	parent string
	// least is how many groups it needs.
	least int64
	ended bool
}

// hierarchy is what is remembered of a hierarchy, by its root.
type hierarchy struct {
	quorumMet, reported bool
}
