// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
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

// The binding of a refused pod was carried out although its answer was lost. The pod and its
// group keep their claims, and so they do without an answer to the question whether the pod
// is bound.
func TestBoundPodKeepsItsClaims(t *testing.T) {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.DRAWorkloadResourceClaims: true,
	})
	all := []string{"of-first", "of-second"}
	for name, test := range map[string]struct {
		group  bool
		node   string
		uid    types.UID
		silent bool
		want   []string
	}{
		"a bound member":               {false, "node", "train-0", false, all},
		"a member that waits":          {false, "", "train-0", false, []string{"of-second"}},
		"a namesake is bound":          {false, "node", "namesake", false, []string{"of-second"}},
		"no answer":                    {false, "", "train-0", true, all},
		"a PodGroup of a bound one":    {true, "node", "train-0", false, all},
		"a PodGroup that waits":        {true, "", "train-0", false, nil},
		"a PodGroup without an answer": {true, "", "train-0", true, all},
	} {
		t.Run(name, func(t *testing.T) {
			claims := []*resourceapi.ResourceClaim{heldBy("of-first", "gpu-0", "train-0"), heldBy("of-second", "gpu-1", "train-1")}
			info := groupOf("train", claims...)
			bound := info.UnscheduledPods[0].DeepCopy()
			bound.UID, bound.Spec.NodeName = test.uid, test.node
			w := newWorld(t, oneNode, claims[0], claims[1], bound)
			w.handle.client.(*fake.Clientset).PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				return test.silent, nil, errReset
			})
			p, state := w.ours(), framework.NewCycleState()
			cluster.SetPlanned(state, cluster.Planned{Rail: -1, Gang: "ml/train"})
			if test.group {
				p.(fwk.PodGroupPostFilterPlugin).PodGroupPostFilter(context.Background(), state, info, nil)
			} else {
				p.(fwk.PostFilterPlugin).PostFilter(context.Background(), state, info.UnscheduledPods[0], nil)
			}
			if diff := cmp.Diff(test.want, w.allocated()); diff != "" {
				t.Errorf("claims with devices (-want,+got):\n%s", diff)
			}
		})
	}
}

// A PodGroup has more refused pods than PostFilter lists one by one. If one of them is bound,
// all keep their claims.
func TestBoundPodOfALargePodGroup(t *testing.T) {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.DRAWorkloadResourceClaims: true,
	})
	const pods = 9 // the limit is 8
	for node, want := range map[string]int{"": 0, "node": pods} {
		var claims []*resourceapi.ResourceClaim
		var objects []runtime.Object
		for i := range pods {
			c := heldBy(fmt.Sprintf("of-%d", i), fmt.Sprintf("gpu-%d", i), fmt.Sprintf("train-%d", i))
			claims, objects = append(claims, c), append(objects, c)
		}
		info := groupOf("train", claims...)
		bound := info.UnscheduledPods[pods-1].DeepCopy()
		bound.Spec.NodeName = node
		w := newWorld(t, oneNode, append(objects, bound)...)
		lists := 0
		w.handle.client.(*fake.Clientset).PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			lists++
			return false, nil, nil
		})
		state := framework.NewCycleState()
		cluster.SetPlanned(state, cluster.Planned{Rail: -1, Gang: "ml/train"})
		w.ours().(fwk.PodGroupPostFilterPlugin).PodGroupPostFilter(context.Background(), state, info, nil)
		if got := len(w.allocated()); got != want || lists != 1 {
			t.Errorf("with a pod on node %q: %d claims keep their devices after %d lists of pods, want %d and 1", node, got, lists, want)
		}
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

// extendedFor returns the claim that the in-tree plugin created for the extended resources of
// a pod, with an allocated device.
func extendedFor(pod, device string) *resourceapi.ResourceClaim {
	c := heldBy(pod+"-extended-resources-1", device, pod)
	c.Annotations = map[string]string{resourceapi.ExtendedResourceClaimAnnotation: "true"}
	c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod, UID: types.UID(pod), Controller: ptr.To(true)}}
	c.Finalizers = []string{resourceapi.Finalizer}
	return c
}

// The in-tree plugin does not know pods that were refused before its PreFilter. Their claims
// for extended resources are deleted, although the status of the pods does not name them.
// Those of other pods and of pods with a node stay.
func TestRefusedPodsDropExtendedResources(t *testing.T) {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.DRAWorkloadResourceClaims: true,
	})
	const first, second, strangers = "train-0-extended-resources-1", "train-1-extended-resources-1", "stranger-extended-resources-1"
	all := []string{strangers, first, second}
	member := func(p plugin, info *framework.PodGroupInfo) *fwk.Status {
		state := framework.NewCycleState()
		cluster.SetPlanned(state, cluster.Planned{Rail: -1, Gang: "ml/train"})
		_, status := p.(fwk.PostFilterPlugin).PostFilter(context.Background(), state, info.UnscheduledPods[0], nil)
		return status
	}
	group := func(p plugin, info *framework.PodGroupInfo) *fwk.Status {
		_, status := p.(fwk.PodGroupPostFilterPlugin).PodGroupPostFilter(context.Background(), framework.NewCycleState(), info, nil)
		return status
	}
	for name, test := range map[string]struct {
		refuse func(plugin, *framework.PodGroupInfo) *fwk.Status
		node   string
		runs   standing
		want   []string
	}{
		"a member of a gang":            {member, "", nil, []string{strangers, second}},
		"a member with a node":          {member, "node", nil, all},
		"a PodGroup":                    {group, "", nil, []string{strangers}},
		"a PodGroup with a running one": {group, "", standing{"train": 1}, all},
	} {
		t.Run(name, func(t *testing.T) {
			strange := extendedFor("stranger", "gpu-2")
			strange.Status.ReservedFor = nil // only the owner tells whose it is
			w := newWorld(t, oneNode, extendedFor("train-0", "gpu-0"), extendedFor("train-1", "gpu-1"), strange)
			w.handle.standing = test.runs
			info := groupOf("train", claim("none"), claim("none"))
			for _, pod := range info.UnscheduledPods {
				pod.Spec.NodeName = test.node
			}
			if status := test.refuse(w.ours(), info); status.Code() != fwk.Unschedulable {
				t.Errorf("refused pods: %v", status)
			}
			if diff := cmp.Diff(test.want, w.allocated()); diff != "" {
				t.Errorf("claims with devices (-want,+got):\n%s", diff)
			}
			for deadline := time.Now().Add(30 * time.Second); len(w.inUse()) != len(test.want); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("devices in use: %v", w.inUse())
				}
			}
		})
	}
}

// The claim for extended resources goes in steps: without its finalizer it is deleted at once,
// and a claim that changed meanwhile stays until the next refusal.
func TestExtendedResourcesAreDroppedInSteps(t *testing.T) {
	for name, conflict := range map[string]bool{"no other write": false, "another write": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneNode, extendedFor("train-0", "gpu-0"))
			client := w.handle.client.(*fake.Clientset)
			client.PrependReactor("update", "resourceclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
				if conflict {
					return true, nil, apierrors.NewConflict(claimsResource.GroupResource(), "train-0", errors.New("it changed"))
				}
				return false, nil, nil
			})
			p, state := w.ours().(fwk.PostFilterPlugin), framework.NewCycleState()
			cluster.SetPlanned(state, cluster.Planned{Rail: -1, Gang: "ml/train"})
			client.ClearActions()
			p.PostFilter(context.Background(), state, podWith("train-0"), nil)
			want := []string{"update claim without finalizers", "delete claim"}
			if conflict {
				want = want[:1]
			}
			if diff := cmp.Diff(want, writesOf(client.Actions())); diff != "" {
				t.Errorf("writes (-want,+got):\n%s", diff)
			}
		})
	}
}

func writesOf(actions []clienttesting.Action) (list []string) {
	for _, action := range actions {
		switch action := action.(type) {
		case clienttesting.UpdateAction:
			if claim, ok := action.GetObject().(*resourceapi.ResourceClaim); ok && len(claim.Finalizers) == 0 && action.GetSubresource() == "" {
				list = append(list, "update claim without finalizers")
			}
		case clienttesting.DeleteAction:
			list = append(list, "delete claim")
		}
	}
	return list
}
