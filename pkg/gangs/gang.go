// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Key is the identity of a gang: the source that declares it and the object
// that it is declared by.
type Key struct {
	Source    string
	Namespace string
	Name      string
}

// String returns the key as users read it: "raycluster ml/a".
func (k Key) String() string {
	return k.Source + " " + k.Namespace + "/" + k.Name
}

// Messagef formats a sentence about the gang and puts the gang's name before it, so that
// users see in every sentence which source declared the gang.
func (k Key) Messagef(format string, args ...any) string {
	return "gang " + k.String() + ": " + fmt.Sprintf(format, args...)
}

// IsZero reports that the key names no gang.
func (k Key) IsZero() bool {
	return k == Key{}
}

// Topology constrains where members run, by names of fabric levels (TopologyArgs).
// Empty means no constraint.
type Topology struct {
	// Required is the level of which one domain must hold all members.
	Required string
	// Preferred is the level of which one domain should hold all members.
	Preferred string
	// RequiredLabel is a node label, configured as a level or not, of which one
	// value must hold all members.
	RequiredLabel string
	// Alignment is the gang's value of AlignmentAnnotation, as it is written. Roles
	// have none: their pods say it themselves.
	Alignment string
}

// Gang is what one declaration says.
type Gang struct {
	Key Key
	// UID is the declaring object's. A gang that is declared by its pods alone
	// has none.
	UID types.UID
	// Min is how many members make a quorum.
	Min int
	// MinField is the field that Min was read from, where it is one field.
	MinField string
	// Roles are sorted by name. Their Mins add up to Min, except while a
	// source that finds the roles on the pods still misses some of them.
	Roles []Role
	// Groups are gangs inside the gang, of any depth. Only CompositePodGroups have
	// them.
	Groups []Group
	// MinGroups is how many of the groups directly in the gang make a quorum; zero
	// means all of them.
	MinGroups int
	Topology  Topology
	// Owner is the object to put events on.
	Owner corev1.ObjectReference
	// Created is when the declaring object was made.
	Created time.Time
	// Controls reports that the members carry the UID of the object (Member.Maker),
	// so that a pod of an earlier object with the same name is recognised and
	// left out.
	Controls bool
	// Attempt, if set, is the present attempt of an object that makes all its pods anew
	// when it restarts. A pod of another attempt (Member.Attempt) is left out.
	Attempt string
	// Problem is one sentence that says what is wrong with the declaration. A
	// gang with a problem waits.
	Problem string
}

// Group is a gang inside a gang.
type Group struct {
	Name string
	// Parent is the group that it is directly in, "" for the gang itself.
	Parent string
	// Min is how many of its members make a quorum of it.
	Min int
	// MinGroups is how many of the groups directly in it do; zero means all.
	MinGroups int
	Topology  Topology
}

// Role is the members of a gang that have one pod shape.
type Role struct {
	Name string
	// Group is the group that the role is in, "" for the gang itself.
	Group string
	// Min is how many of the quorum are of this role.
	Min int
	// Want is how many members the declaration asks for in all; those above
	// Min join when they come.
	Want int
	// Step, where it is above 1, is how many members start together or not at
	// all once the gang runs: the hosts of one replica that an autoscaler adds,
	// or a role that its controller makes only after others are ready. Members
	// above Min that have no Step start one by one.
	Step int
	// Topology is the constraint of this role alone, beside the gang's.
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

// Has reports whether the member belongs to this gang's present declaration, and
// not to an earlier object of the same name or to another attempt.
func (g Gang) Has(m Member) bool {
	return m.Key == g.Key && (!g.Controls || m.Maker == g.UID) &&
		(g.Attempt == "" || m.Attempt == "" || m.Attempt == g.Attempt)
}

// Member is one pod of a gang with all that its source reads from the pod
// alone. It is worth keeping: it stays right as long as the pod's metadata and
// spec do.
type Member struct {
	Key Key
	Pod *corev1.Pod
	// Role is the name of the member's role.
	Role string
	// Rank orders the members of a role, where the pod says so.
	Rank Rank
	// Replica names the replica of the role that the member is one host of,
	// where the pod says so. It matters to roles that have a Step.
	Replica string
	// Maker is the UID of the object that made the pod: its controller or, where
	// the pod says so, the object that made its controller.
	Maker types.UID
	// Attempt is the attempt of the object in which the pod was made, where the pod
	// says so.
	Attempt string
}

// Rank is a member's place among the members of its role. Only the order
// matters; ranks may have gaps.
type Rank struct {
	Known bool
	Index int64
}
