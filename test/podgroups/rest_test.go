// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import "testing"

// The API server refuses the bindings of most members of a group for a while. Another group
// waits for the same nodes. The first group must keep the room of its rest and run whole.
func TestRestKeepsItsRoom(t *testing.T) {
	e := newEnv(t)
	e.group("first", share)
	e.group("rival", share)
	var refused []string
	for i := 1; i < share; i++ {
		refused = append(refused, e.memberName("first", i))
	}
	allow := e.RefuseBindings(refused...)
	e.members("first", 0, share)
	e.UntilBound(of("first"), 1)
	e.members("rival", 0, share)
	e.refused("rival", share, "gang schedulinggroup "+e.Namespace+"/rival: ")
	e.Never("the rival takes the room of the rest", func() bool { return e.Bound(of("rival")) > 0 })
	allow()
	e.Whole(of("first"), share)
	if n := e.Bound(of("rival")); n > 0 {
		t.Errorf("%d members of the rival are bound where the first group runs", n)
	}
}
