// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Who waits for members says so, on the pods that exist and on the PodGroup, although
// the scheduler's cycle has not begun; and a group that lost a member before it was
// placed says so again.
func TestGroupThatLacksMembers(t *testing.T) {
	e := newEnv(t)
	e.members("train", 0, 1)
	e.Eventually("a pod says that its PodGroup does not exist", func() bool {
		return e.waitingPods(of("train")) == "waiting for schedulinggroup "+e.Namespace+"/train, which does not exist"
	})
	e.group("train", 3)
	e.members("train", 1, 2)
	e.refused("train", 2, "waiting for 1 of 3 members: spec.schedulingPolicy.gang.minCount of schedulinggroup "+e.Namespace+"/train is 3, and 2 exist so far")
	e.RemovePod("train-1")
	e.refused("train", 1, "waiting for 2 of 3 members: spec.schedulingPolicy.gang.minCount of schedulinggroup "+e.Namespace+"/train is 3, and 1 exist so far")
	e.members("train", 1, 3)
	e.Whole(of("train"), 3)
	e.Eventually("the PodGroup is scheduled", func() bool { return e.condition("train", metav1.ConditionTrue) != "" })
}

// A group that is complete waits for the others of its hierarchy, and says for which.
func TestHierarchyThatLacksMembers(t *testing.T) {
	e := newEnv(t)
	e.composite("all", "", 2)
	e.group("a", 2, key(fleet.LabelLeaf), below("all"))
	e.group("b", 3, key(fleet.LabelLeaf), below("all"))
	e.members("a", 0, 2)
	e.members("b", 0, 1)
	e.refused("a", 2, "waiting for groups of compositepodgroup "+e.Namespace+"/all: 1 of the 3 members that PodGroup b needs exist so far")
	e.refused("b", 1, "waiting for 2 of 3 members: ")
	e.members("b", 1, 3)
	e.Whole(of("a"), 2)
	e.Whole(of("b"), 3)
}
