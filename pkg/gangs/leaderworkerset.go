// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LeaderWorkerSetSource is the Key.Source (the way of declaring, in a gang's key) of gangs
// that are one group of a LeaderWorkerSet: a leader and its workers.
const LeaderWorkerSetSource = "leaderworkerset"

// LeaderWorkerSetAPIVersion is the LeaderWorkerSet API version that Dovetail reads.
const LeaderWorkerSetAPIVersion = "leaderworkerset.x-k8s.io/v1"

// Labels and annotations that the LeaderWorkerSet controller sets on its pods.
const (
	lwsNameLabel   = "leaderworkerset.sigs.k8s.io/name"
	lwsGroupIndex  = "leaderworkerset.sigs.k8s.io/group-index"
	lwsWorkerIndex = "leaderworkerset.sigs.k8s.io/worker-index"
	lwsSize        = "leaderworkerset.sigs.k8s.io/size"
	lwsLeaderName  = "leaderworkerset.sigs.k8s.io/leader-name"
	lwsExclusive   = "leaderworkerset.sigs.k8s.io/exclusive-topology"
)

// lwsLeaderReady is the startupPolicy with which the controller creates workers only when
// the leader is ready.
const lwsLeaderReady = "LeaderReady"

// The roles of the pods in a group of a LeaderWorkerSet.
const (
	lwsLeader = "leader"
	lwsWorker = "worker"
)

// LeaderWorkerSet holds the parts of a LeaderWorkerSet that Dovetail reads.
type LeaderWorkerSet struct {
	metav1.ObjectMeta
	Spec LeaderWorkerSetSpec
}

// LeaderWorkerSetSpec is the part of a LeaderWorkerSet's spec that its pods do not carry.
type LeaderWorkerSetSpec struct {
	StartupPolicy string `json:"startupPolicy"`
}

// LeaderWorkerSets looks up LeaderWorkerSets. asks is the key of the gang for which the
// object is looked up. If the object is missing, this gang is read anew when the object
// appears, or when the reason for its absence changes.
type LeaderWorkerSets interface {
	LeaderWorkerSet(asks Key, namespace, name string) (*LeaderWorkerSet, error)
}

// leaderWorkerSetSource is the Source (reader of gang declarations) that reads a group of a
// LeaderWorkerSet from its pods. Only the LeaderWorkerSet object shows whether its
// startupPolicy creates the workers after the leader. If the object does not exist, the
// source assumes that all pods are created at once.
//
// If the workers are created later (startupPolicy LeaderReady, or the annotation
// exclusive-topology, with which they follow the leader's node), a leader that waited for
// them would wait for ever. In that case the leader starts first, and the workers start
// together later.
type leaderWorkerSetSource struct {
	sets LeaderWorkerSets
}

// NewLeaderWorkerSetSource returns the source of gangs that are groups of
// LeaderWorkerSets.
func NewLeaderWorkerSetSource(sets LeaderWorkerSets) Source {
	return leaderWorkerSetSource{sets: sets}
}

// LeaderWorkerSetKey returns the key of the gang with that leader. The name of a leader is
// the name of the set, a dash and the index of the group.
func LeaderWorkerSetKey(namespace, leader string) Key {
	return Key{Source: LeaderWorkerSetSource, Namespace: namespace, Name: leader}
}

func (leaderWorkerSetSource) Name() string { return LeaderWorkerSetSource }

func (leaderWorkerSetSource) Key(pod *corev1.Pod) (Key, bool) {
	set := pod.Labels[lwsNameLabel]
	if set == "" {
		return Key{}, false
	}
	switch leader := pod.Annotations[lwsLeaderName]; {
	case isLWSLeader(pod):
		return LeaderWorkerSetKey(pod.Namespace, pod.Name), true
	case leader != "":
		return LeaderWorkerSetKey(pod.Namespace, leader), true
	case pod.Labels[lwsGroupIndex] != "":
		return LeaderWorkerSetKey(pod.Namespace, set+"-"+pod.Labels[lwsGroupIndex]), true
	}
	return Key{}, false
}

func isLWSLeader(pod *corev1.Pod) bool { return pod.Labels[lwsWorkerIndex] == "0" }

func (leaderWorkerSetSource) Role(pod *corev1.Pod) string {
	if isLWSLeader(pod) {
		return lwsLeader
	}
	return lwsWorker
}

func (leaderWorkerSetSource) Rank(pod *corev1.Pod) Rank { return rankOf(pod, "", lwsWorkerIndex) }

func (s leaderWorkerSetSource) Gang(key Key, members []Member) (Gang, error) {
	g := countedGang(key, members, lwsSize)
	g.MinField = ""
	members = liveByName(g, members)
	if len(members) == 0 {
		return g, nil
	}
	late := false
	for _, m := range members {
		late = late || m.Pod.Annotations[lwsExclusive] != ""
	}
	set, err := s.sets.LeaderWorkerSet(key, key.Namespace, members[0].Pod.Labels[lwsNameLabel])
	switch {
	case err == nil:
		late = late || set.Spec.StartupPolicy == lwsLeaderReady
		describeLWS(&g, set)
	case !isAbsent(err):
		return Gang{}, err
	}
	if g.Problem == "" {
		g.Min, g.Roles = lwsRoles(g.Min, late)
	}
	return g, nil
}

// isAbsent reports that a lookup failed because the object does not exist or its kind is
// not installed.
func isAbsent(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotInstalled)
}

func describeLWS(g *Gang, set *LeaderWorkerSet) {
	g.Topology = topologyOf(set.Annotations)
	g.RunTime = runTimeOf(&set.ObjectMeta, g.Key.String(), Limit{})
	g.Owner = corev1.ObjectReference{
		APIVersion: LeaderWorkerSetAPIVersion,
		Kind:       "LeaderWorkerSet",
		Namespace:  set.Namespace,
		Name:       set.Name,
		UID:        set.UID,
	}
	if set.DeletionTimestamp != nil {
		g.Problem = cmp.Or(g.Problem, fmt.Sprintf("the LeaderWorkerSet of %s is being deleted", g.Key))
	}
}

// lwsRoles returns the quorum (the number of members that must start together) and the
// roles of a group of that size. If late, the quorum is the leader, and the workers start
// later, all together.
func lwsRoles(size int, late bool) (int, []Role) {
	leader := Role{Name: lwsLeader, Min: 1, Want: 1}
	if size == 1 {
		return 1, []Role{leader}
	}
	workers := Role{Name: lwsWorker, Min: size - 1, Want: size - 1}
	if late {
		workers.Min, workers.Step = 0, size-1
	}
	return leader.Min + workers.Min, []Role{leader, workers}
}
