// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Key identifies a gang: the name of the Source (reader of gang declarations) that
// recognises it, and the namespace and name of the object or group that declares it.
type Key struct {
	Source    string
	Namespace string
	Name      string
}

// String returns the key as users see it, for example "raycluster ml/a".
func (k Key) String() string {
	return k.Source + " " + k.Namespace + "/" + k.Name
}

// CompareKeys orders gangs by source, namespace and name.
func CompareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Messagef formats a sentence about the gang and puts the gang's key before it, so that
// every sentence shows users which source declared the gang.
func (k Key) Messagef(format string, args ...any) string {
	return "gang " + k.String() + ": " + fmt.Sprintf(format, args...)
}

// IsZero reports that the key names no gang.
func (k Key) IsZero() bool {
	return k == Key{}
}

// Topology constrains the nodes of a gang's members, by names of levels of the network
// topology, such as rack, that the scheduler's configuration lists. An empty field is no
// constraint.
type Topology struct {
	// Required names a topology level: one domain of the level, such as one rack, must
	// hold all members.
	Required string
	// Preferred names a topology level: one domain of the level should hold all members.
	Preferred string
	// RequiredLabel is a node label: all members must run on nodes with the same value of
	// it. The label need not be configured as a level.
	RequiredLabel string
	// Alignment is the gang's unparsed value of AlignmentAnnotation: how close to each
	// other a pod's GPUs and NICs must be. It is empty for roles: their pods carry the
	// annotation.
	Alignment string
	// Mistake is the first annotation of the declaring object that has Dovetail's prefix and
	// no effect, "" if there is none. It is empty for roles.
	Mistake string
}

// Gang is what one declaration says about a gang.
type Gang struct {
	Key Key
	// UID is the UID of the declaring object. It is empty for a gang that only its pods
	// declare.
	UID types.UID
	// Min is the number of members in the quorum: those that must start together.
	Min int
	// MinField names the field that Min was read from. It is empty if Min comes from
	// several fields.
	MinField string
	// Roles are sorted by name. Their Mins add up to Min, unless the source finds the roles
	// on the pods and some pods are still missing.
	Roles []Role
	// Groups are gangs nested in the gang, at any depth. Only gangs that a CompositePodGroup
	// (of scheduling.k8s.io) declares have them.
	Groups []Group
	// MinGroups is the number of groups directly in the gang that its quorum needs; zero
	// means all of them.
	MinGroups int
	Topology  Topology
	// RunTime has the time limit and the other values for the gang's run time, from the
	// declaring object. For a gang with Groups that is the object at the top. RunTimeWith adds
	// the values of the pods.
	RunTime RunTime
	// Owner is the object that events are recorded on.
	Owner corev1.ObjectReference
	// Created is the creation time of the declaring object, or of the oldest pod if there
	// is no object.
	Created time.Time
	// Controls reports that the members carry the UID of the declaring object, as
	// Member.Maker. Pods of an earlier object with the same name are then recognised and
	// left out.
	Controls bool
	// Single is true if the declaration lets members be evicted one by one, even below the
	// minimum.
	Single bool
	// Attempt is the current restart attempt of an owner that replaces all its pods when it
	// restarts, "" for other owners. Pods of another attempt (Member.Attempt) are left out.
	Attempt string
	// Problem is one sentence about an error in the declaration. A gang with a problem
	// waits.
	Problem string
}

// Group is a gang nested in a gang.
type Group struct {
	Name string
	// Parent is the Name of the group that directly contains this group, "" for the gang
	// itself.
	Parent string
	// Min is the number of members in the quorum of this group.
	Min int
	// MinGroups is the number of groups directly in this group that its quorum needs; zero
	// means all of them.
	MinGroups int
	Topology  Topology
}

// Role describes the members of a gang that serve one purpose and have similar pods, such
// as the workers.
type Role struct {
	Name string
	// Group is the Name of the group that contains the role, "" for the gang itself.
	Group string
	// Min is the number of members of this role in the quorum.
	Min int
	// Want is the number of members that the declaration requests in all. Members above Min
	// join when they exist.
	Want int
	// Step, if above 1, is the number of members that start together or not at all once the
	// gang runs. Examples are the hosts of one replica that an autoscaler adds, and a role
	// whose controller creates it only after other roles are ready. Members above Min
	// without a Step start one by one.
	Step int
	// Topology is the constraint of this role's members, in addition to the gang's.
	Topology Topology
}

// Role returns the role with that name.
func (g Gang) Role(name string) (Role, bool) {
	for _, r := range g.Roles {
		if r.Name == name {
			return r, true
		}
	}
	return Role{}, false
}

// Has reports that the member belongs to the current declaration of this gang, and not to
// an earlier object with the same name or to another attempt.
func (g Gang) Has(m Member) bool {
	return m.Key == g.Key && (!g.Controls || m.Maker == g.UID) &&
		(g.Attempt == "" || m.Attempt == "" || m.Attempt == g.Attempt)
}

// Member is one pod of a gang, with the data that its source (the reader of this way of
// declaring gangs) reads from the pod and nothing else. It can be cached: it stays valid
// until the pod's metadata or spec changes.
type Member struct {
	Key Key
	Pod *corev1.Pod
	// Role is the name of the member's role.
	Role string
	// Rank orders the members of a role. It is unknown if the pod carries no index.
	Rank Rank
	// Replica names the replica of several hosts to which the member belongs, if the pod
	// carries the name. Only roles with a Step use it.
	Replica string
	// Maker is the UID of the pod's controller or, if the pod carries it, the UID of the
	// object that created the controller.
	Maker types.UID
	// Attempt is the restart attempt of the owner that the pod belongs to, "" if the pod
	// does not carry one.
	Attempt string
	// Signature is equal for pods that need the same of their node: resources, devices,
	// affinity and the like. It may be 0, for not computed, if the pod has a node.
	Signature Signature
	// Lacks is the reason why the pod can have no scheduling cycle although the pod itself
	// allows one, as half a sentence such as "lacks ResourceClaim c, which does not exist".
	// It is "" if the pod can have a cycle, or if nothing beyond the pod itself was read.
	Lacks string
}

// Rank is the position of a member in its role. Only the order matters; an Index may be
// skipped.
type Rank struct {
	Known bool
	Index int64
}
