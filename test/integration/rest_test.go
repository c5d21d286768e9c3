// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The API server refuses the bindings of four of five members for a while. Another gang
// waits for the same nodes. The first gang must keep the room of its rest and run whole.
func TestRestKeepsItsRoom(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=2,nodes=4")},
		Without: withoutOthers,
	})
	e.podGroup("a", 5, nil)
	e.podGroup("b", 5, nil)
	allow := e.RefuseBindings("a-1", "a-2", "a-3", "a-4")
	e.createPods(members("a", 5, asking("20", "1Gi"))...)
	e.UntilBound(groupLabel+"=a", 1)
	e.createPods(members("b", 5, asking("20", "1Gi"))...)
	e.Eventually("the waiting members say why", func() bool {
		return e.said(groupLabel+"=a", "1 of 5 members are bound, and binding pod a-") > 0 &&
			e.said(groupLabel+"=a", "; its one bound member stays, because healAfter is 0") > 0
	})
	e.Refused(groupLabel+"=b", 5, "gang podgroup "+e.Namespace+"/b: ")
	e.Never("the rival takes the room of the rest", func() bool { return e.Bound(groupLabel+"=b") > 0 })
	allow()
	e.Whole(groupLabel+"=a", 5)
	if n := e.Bound(groupLabel + "=b"); n > 0 {
		t.Errorf("%d members of the rival are bound where the first gang runs", n)
	}
	e.RemovePods(groupLabel + "=a")
	e.Whole(groupLabel+"=b", 5)
}

// The bindings are refused for longer than healAfter. The bound member must be evicted, and
// the room given to the other gang.
func TestRestIsGivenBack(t *testing.T) {
	e := onOwn(t, localcluster.Options{
		Fleets:         []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=2,nodes=4")},
		DovetailConfig: withGangArgs(t, "healAfter: 5s"),
		Without:        withoutOthers,
	})
	e.podGroup("a", 5, nil)
	e.podGroup("b", 5, nil)
	e.RefuseBindings("a-1", "a-2", "a-3", "a-4")
	pods := members("a", 5, asking("20", "1Gi"))
	e.ownedBy("nobody", pods...)
	e.createPods(pods...)
	e.UntilBound(groupLabel+"=a", 1)
	e.createPods(members("b", 5, asking("20", "1Gi"))...)
	e.Eventually("an event on the PodGroup says that its pods are evicted", func() bool {
		return e.event("a", "could not bind all its members within healAfter (5s): the one that is bound is being evicted")
	})
	e.Whole(groupLabel+"=b", 5)
	e.Eventually("nothing of the first gang is bound", func() bool { return e.Bound(groupLabel+"=a") == 0 })
}

// The claim that was made for a member is deleted, so that the member can have no cycle. Its
// gang must hold nothing and say so, whether or not it was refused before.
func TestMemberWithoutItsClaimHoldsNothing(t *testing.T) {
	e := onGPUs(t)
	e.keepOpen(4)
	e.claimTemplate()
	for _, group := range []string{"b", "c", "d"} {
		e.podGroup(group, 3, nil)
	}
	// The controller makes a deleted claim again at the next update of the pod, such as the
	// sentence about it, if the template still exists.
	templates := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace)
	template, err := templates.Get(t.Context(), wholeNode, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading the template: %v", err)
	}
	template.ObjectMeta = metav1.ObjectMeta{Name: "once"}
	if _, err := templates.Create(t.Context(), template, metav1.CreateOptions{}); err != nil {
		t.Fatalf("making a template: %v", err)
	}
	b := members("b", 3, withDevices)
	b[2].Spec.ResourceClaims[0].ResourceClaimTemplateName = &template.Name
	e.createPods(b[2])
	claim := ""
	e.Eventually("the member's claim is made", func() bool {
		for _, pod := range e.Pods(groupLabel + "=b") {
			if made := pod.Status.ResourceClaimStatuses; len(made) > 0 && made[0].ResourceClaimName != nil {
				claim = *made[0].ResourceClaimName
			}
		}
		return claim != ""
	})
	if err := templates.Delete(t.Context(), "once", metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting the template: %v", err)
	}
	if err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Delete(t.Context(), claim, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting claim %s: %v", claim, err)
	}
	e.createPods(b[:2]...)
	e.Eventually("the gang says which claim is missing", func() bool {
		return e.said(groupLabel+"=b", "pod b-2 needs ResourceClaim "+claim+", which does not exist") == 3
	})
	e.createPods(members("c", 3, withDevices)...)
	e.Whole(groupLabel+"=c", 3)
	// A refused gang whose first member loses its claim is planned in another's cycle.
	e.createPods(members("d", 4, withDevices)...)
	e.Refused(groupLabel+"=d", 4, "gang podgroup "+e.Namespace+"/d: ")
	for _, pod := range e.Pods(groupLabel + "=d") {
		if pod.Name == "d-0" {
			name := *pod.Status.ResourceClaimStatuses[0].ResourceClaimName
			if err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatalf("deleting claim %s: %v", name, err)
			}
		}
	}
	e.RemovePods(groupLabel + "=c")
	e.Eventually("the quorum of the gang is bound", func() bool { return e.Bound(groupLabel+"=d") >= 3 })
}
