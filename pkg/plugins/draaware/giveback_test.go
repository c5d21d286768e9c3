// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// standing is the number of members with a node, by PodGroup name.
type standing map[string]int

// groupManager returns only those numbers.
type groupManager struct {
	fwk.PodGroupManager
	of standing
}

func (m groupManager) PodGroupStates() fwk.PodGroupStateLister { return states{of: m.of} }

type states struct {
	fwk.PodGroupStateLister
	of standing
}

func (s states) Get(_, name string) (fwk.PodGroupState, error) { return groupState{n: s.of[name]}, nil }

type groupState struct {
	fwk.PodGroupState
	n int
}

func (g groupState) ScheduledPodsCount() int { return g.n }

// groupOf returns a PodGroup with one pod per claim.
func groupOf(name string, claims ...*resourceapi.ResourceClaim) *framework.PodGroupInfo {
	info := &framework.PodGroupInfo{Namespace: "ml", Name: name, Type: fwk.PodGroupKeyType}
	info.PodGroup = &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID("group-" + name)}}
	for i, claim := range claims {
		info.UnscheduledPods = append(info.UnscheduledPods, podWith(fmt.Sprintf("%s-%d", name, i), claim))
	}
	return info
}

// heldBy returns a claim with an allocated device, reserved for the users.
func heldBy(name, device string, users ...string) *resourceapi.ResourceClaim {
	c := holding(name, device)
	for _, user := range users {
		c.Status.ReservedFor = append(c.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "any", Name: user, UID: types.UID(user)})
	}
	return c
}

// A refused group deallocates the claims that only it uses, if no member has a node.
func TestRefusedGroupGivesBack(t *testing.T) {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.DRAWorkloadResourceClaims: true,
	})
	for name, test := range map[string]struct {
		runs  standing
		below bool
		want  []string
	}{
		"a group":                                 {nil, false, []string{"of-others", "of-others-too"}},
		"a group of which a member runs":          {standing{"train": 1}, false, []string{"of-group", "of-nobody", "of-others", "of-others-too", "of-pod"}},
		"a hierarchy":                             {nil, true, []string{"of-others"}},
		"a hierarchy of which a member runs":      {standing{"other": 1}, true, []string{"of-group", "of-nobody", "of-others", "of-others-too", "of-pod"}},
		"a group that nobody else's member holds": {standing{"elsewhere": 1}, false, []string{"of-others", "of-others-too"}},
	} {
		t.Run(name, func(t *testing.T) {
			claims := []*resourceapi.ResourceClaim{
				heldBy("of-group", "gpu-0", "group-train"), heldBy("of-pod", "gpu-1", "train-1"), heldBy("of-nobody", "gpu-2"),
				heldBy("of-others", "gpu-3", "group-train", "stranger"), heldBy("of-others-too", "gpu-4", "group-other"),
			}
			w := newWorld(t, oneNode, claims[0], claims[1], claims[2], claims[3], claims[4])
			w.handle.standing = test.runs
			p := w.ours().(fwk.PodGroupPostFilterPlugin)
			info := groupOf("train", claims...)
			if test.below {
				info = &framework.PodGroupInfo{
					Namespace: "ml", Name: "tree", Type: fwk.CompositePodGroupKeyType, CompositePodGroup: &schedulingv1alpha3.CompositePodGroup{},
					Children: []*framework.PodGroupInfo{info, groupOf("other")},
				}
			}
			if _, status := p.PodGroupPostFilter(context.Background(), framework.NewCycleState(), info, nil); status.Code() != fwk.Unschedulable {
				t.Errorf("PodGroupPostFilter: %v", status)
			}
			if diff := cmp.Diff(test.want, w.allocated()); diff != "" {
				t.Errorf("claims with devices (-want,+got):\n%s", diff)
			}
		})
	}
}

// allocated returns the names of the allocated claims, sorted.
func (w *world) allocated() (names []string) {
	list, err := w.handle.client.ResourceV1().ResourceClaims(v1.NamespaceAll).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range list.Items {
		if c.Status.Allocation != nil {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}
