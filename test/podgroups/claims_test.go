// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Four devices stand in each of the first nodes, and one on the network of each leaf.
const (
	devicesEach  = 4
	deviceNodes  = 4
	localDriver  = "local.example.com"
	remoteDriver = "network.example.com"
)

// devices publishes the devices that a test is about; they go with it.
func (e *env) devices() (nodes []string) {
	e.Helper()
	list, err := e.Client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatal(err)
	}
	for _, driver := range []string{localDriver, remoteDriver} {
		class := &resourceapi.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: driver}}
		class.Spec.Selectors = []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", driver)}}}
		if _, err := e.Client.ResourceV1().DeviceClasses().Create(e.Context(), class, metav1.CreateOptions{}); err != nil {
			e.Fatal(err)
		}
		e.Cleanup(func() {
			_ = e.Client.ResourceV1().DeviceClasses().Delete(context.Background(), driver, metav1.DeleteOptions{})
		})
	}
	for _, node := range list.Items[:deviceNodes] {
		nodes = append(nodes, node.Name)
		e.publish(localDriver, node.Name, devicesEach, func(spec *resourceapi.ResourceSliceSpec) { spec.NodeName = &node.Name })
	}
	leaves := map[string]bool{}
	for _, node := range list.Items {
		spine, leaf := node.Labels[fleet.LabelSpine], node.Labels[fleet.LabelLeaf]
		if name := spine + "-" + leaf; !leaves[name] {
			leaves[name] = true
			e.publish(remoteDriver, name, 1, func(spec *resourceapi.ResourceSliceSpec) {
				spec.NodeSelector = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: fleet.LabelSpine, Operator: corev1.NodeSelectorOpIn, Values: []string{spine}},
					{Key: fleet.LabelLeaf, Operator: corev1.NodeSelectorOpIn, Values: []string{leaf}},
				}}}}
			})
		}
	}
	e.Cleanup(func() { // before the devices go
		e.RemovePods("")
		e.Gone("")
	})
	return nodes
}

func (e *env) publish(driver, pool string, count int, where func(*resourceapi.ResourceSliceSpec)) {
	e.Helper()
	slice := &resourceapi.ResourceSlice{ObjectMeta: metav1.ObjectMeta{GenerateName: strings.ToLower(pool) + "-"}}
	slice.Spec = resourceapi.ResourceSliceSpec{Driver: driver, Pool: resourceapi.ResourcePool{Name: pool, Generation: 1, ResourceSliceCount: 1}}
	for i := range count {
		slice.Spec.Devices = append(slice.Spec.Devices, resourceapi.Device{Name: fmt.Sprintf("device-%d", i)})
	}
	where(&slice.Spec)
	made, err := e.Client.ResourceV1().ResourceSlices().Create(e.Context(), slice, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("publishing %s of pool %s: %v", driver, pool, err)
	}
	e.Cleanup(func() {
		_ = e.Client.ResourceV1().ResourceSlices().Delete(context.Background(), made.Name, metav1.DeleteOptions{})
	})
}

func wants(class string, count int64) resourceapi.ResourceClaimSpec {
	return resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{{
		Name: "devices", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: class, Count: count},
	}}}}
}

func (e *env) claim(name, class string, count int64) *resourceapi.ResourceClaim {
	e.Helper()
	made, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Create(e.Context(),
		&resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: wants(class, count)}, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("creating claim %s: %v", name, err)
	}
	return made
}

func (e *env) template(name, class string, count int64) {
	e.Helper()
	_, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), &resourceapi.ResourceClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourceapi.ResourceClaimTemplateSpec{Spec: wants(class, count)},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatalf("creating claim template %s: %v", name, err)
	}
}

// named and made have a group and its pods refer to a claim, and to a template of which
// the group gets one claim; own has pods refer to a template of which each gets its own.
func named(claim string) (func(*schedulingv1beta1.PodGroup), func(*corev1.Pod)) {
	return sharedAs(schedulingv1beta1.PodGroupResourceClaim{Name: "shared", ResourceClaimName: &claim})
}

func made(template string) (func(*schedulingv1beta1.PodGroup), func(*corev1.Pod)) {
	return sharedAs(schedulingv1beta1.PodGroupResourceClaim{Name: "shared", ResourceClaimTemplateName: &template})
}

func sharedAs(of schedulingv1beta1.PodGroupResourceClaim) (func(*schedulingv1beta1.PodGroup), func(*corev1.Pod)) {
	return func(group *schedulingv1beta1.PodGroup) {
			group.Spec.ResourceClaims = append(group.Spec.ResourceClaims, of)
		},
		referring(corev1.PodResourceClaim{Name: of.Name, ResourceClaimName: of.ResourceClaimName, ResourceClaimTemplateName: of.ResourceClaimTemplateName})
}

func own(template string) func(*corev1.Pod) {
	return referring(corev1.PodResourceClaim{Name: "own", ResourceClaimTemplateName: &template})
}

func referring(to corev1.PodResourceClaim) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.ResourceClaims = append(pod.Spec.ResourceClaims, to)
		pod.Spec.Containers[0].Resources.Claims = append(pod.Spec.Containers[0].Resources.Claims, corev1.ResourceClaim{Name: to.Name})
	}
}

// groupClaims lists, by claim, the PodGroups for which claims are reserved.
func (e *env) groupClaims() map[string][]string {
	e.Helper()
	list, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatal(err)
	}
	users := map[string][]string{}
	for _, claim := range list.Items {
		for _, user := range claim.Status.ReservedFor {
			if user.Resource == "podgroups" {
				users[claim.Name] = append(users[claim.Name], user.Name)
			}
		}
	}
	return users
}

// sharesOne holds that the group has one claim, and that all pods of it are bound in
// one domain of the label.
func (e *env) sharesOne(group, label string, pods int) {
	e.Helper()
	e.Whole(of(group), pods)
	if got := e.Domains(of(group), label); len(got) != 1 {
		e.Errorf("%s stands in %v, want one domain of %s", group, got, label)
	}
	claims := 0
	for _, users := range e.groupClaims() {
		if slices.Contains(users, group) {
			claims++
		}
	}
	if claims != 1 {
		e.Errorf("%d claims are reserved for %s, want 1: %v", claims, group, e.groupClaims())
	}
}

// Members of a PodGroup share a claim that it names or makes from a template. It is
// allocated once and counted once: all members that can use it there stand on its
// node, one more than there is room for makes the gang wait and hold nothing, and a
// late member joins it.
func TestSharedClaims(t *testing.T) {
	e := newEnv(t)
	said := e.logged()
	e.devices()
	e.template("two", localDriver, 2)
	e.template("one", localDriver, 1)
	e.claim("named", localDriver, 2)
	for name, refer := range map[string]func(string) (func(*schedulingv1beta1.PodGroup), func(*corev1.Pod)){"named": named, "two": made} {
		group, pod := refer(name)
		e.group(name, 2, group)
		e.members(name, 0, 2, small, own("one"), pod)
		e.sharesOne(name, corev1.LabelHostname, 2)
	}

	group, pod := made("two")
	e.group("large", devicesEach-1, group)
	e.members("large", 0, devicesEach-1, small, pod, own("one"))
	e.refused("large", devicesEach-1, fmt.Sprintf("gang schedulinggroup %s/large: 2 of 3 members fit node ", e.Namespace))
	if users := e.groupClaims(); len(users) != 2 {
		t.Errorf("claims are reserved for %v, want two groups that run", users)
	}

	e.claim("late", localDriver, 1)
	group, pod = named("late")
	e.group("late", 2, group)
	e.members("late", 0, 2, small, pod)
	e.sharesOne("late", corev1.LabelHostname, 2)
	e.members("late", 2, 4, small, pod)
	e.sharesOne("late", corev1.LabelHostname, 4)

	e.claim("basic", localDriver, 1)
	group, pod = named("basic")
	e.group("basic", 0, group)
	e.members("basic", 0, 3, small, pod)
	e.sharesOne("basic", corev1.LabelHostname, 3)
	e.noErrorsSince(said)
}

// A device on the network of a leaf keeps the members that share it in that leaf, and
// each may have a node of its own.
func TestSharedNetworkDevice(t *testing.T) {
	e := newEnv(t)
	said := e.logged()
	e.devices()
	e.claim("network", remoteDriver, 1)
	group, pod := named("network")
	e.group("network", perLeaf, group)
	e.members("network", 0, perLeaf, pod)
	e.sharesOne("network", fleet.LabelLeaf, perLeaf)
	if got := e.Domains(of("network"), fleet.LabelSpine); len(got) != 1 {
		t.Errorf("the gang stands in spines %v", got)
	}
	if got := e.Domains(of("network"), corev1.LabelHostname); len(got) != perLeaf {
		t.Errorf("the gang stands on nodes %v, want %d", got, perLeaf)
	}
	e.claim("wide", remoteDriver, 1)
	group, pod = named("wide")
	e.group("wide", perLeaf+1, group)
	e.members("wide", 0, perLeaf+1, pod)
	e.refused("wide", perLeaf+1, fmt.Sprintf("gang schedulinggroup %s/wide: %d of %d members fit if the members that share resource claim wide run on the %d nodes that can use its devices",
		e.Namespace, perLeaf, perLeaf+1, perLeaf))
	e.noErrorsSince(said)
}

// Two PodGroups of a hierarchy share one claim each, and a third one together.
func TestSharedClaimsInHierarchy(t *testing.T) {
	e := newEnv(t)
	said := e.logged()
	e.devices()
	e.claim("both", localDriver, 1)
	e.template("one", localDriver, 1)
	group, pod := made("one")
	both := "both"
	e.treeOf("tree", group, small, pod, referring(corev1.PodResourceClaim{Name: both, ResourceClaimName: &both}))
	e.Whole(of("tree-a"), 3)
	e.Whole(of("tree-b"), 3)
	a, b := e.Domains(of("tree-a"), corev1.LabelHostname), e.Domains(of("tree-b"), corev1.LabelHostname)
	if len(a) != 1 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the groups stand on %v and %v, want the node of the claim that both have", a, b)
	}
	e.noErrorsSince(said)
}

// The scheduler is killed while it binds members that share a claim. When it is back,
// the others follow to where the claim is.
func TestKillWhileBindingSharers(t *testing.T) {
	e := newEnv(t)
	const size = 16
	e.devices()
	e.template("one", localDriver, 1)
	for round := range rounds {
		name := fmt.Sprintf("gang%d", round)
		group, pod := made("one")
		e.group(name, size, group)
		killed := e.KillAfter(1+4*round, of(name))
		e.members(name, 0, size, small, pod)
		<-killed
		t.Logf("killed after %d of %d bindings", e.Bound(of(name)), size)
		if err := e.Cluster.Restart(t.Context(), localcluster.Dovetail); err != nil {
			t.Fatalf("starting the scheduler again: %v", err)
		}
		e.sharesOne(name, corev1.LabelHostname, size)
	}
}

// A scheduler that died after it wrote a claim, and before it bound anybody, leaves
// devices allocated on a node that has no room any more. The gang gives them back and
// starts elsewhere; one that fits nowhere keeps none.
func TestLeftOverClaimIsGivenBack(t *testing.T) {
	e := newEnv(t)
	nodes := e.devices()
	filler := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "filler"}, Spec: podSpec()}
	filler.Spec.NodeName = nodes[0]
	if _, err := e.Client.CoreV1().Pods(e.Namespace).Create(t.Context(), filler, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	group, pod := named("left")
	e.group("left", 1, group)
	e.leave(e.claim("left", localDriver, 1), "left", nodes[0])
	e.members("left", 0, 1, pod)
	e.sharesOne("left", corev1.LabelHostname, 1)
	if got := e.Domains(of("left"), corev1.LabelHostname); got[nodes[0]] > 0 {
		t.Errorf("the gang stands on %v, where there was no room", got)
	}

	group, pod = named("never")
	const size = 2 // each as large as a node
	e.group("never", size, group)
	e.leave(e.claim("never", localDriver, 1), "never", nodes[0])
	e.members("never", 0, size, pod)
	e.Eventually("the claim has no devices", func() bool {
		claim, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Get(t.Context(), "never", metav1.GetOptions{})
		return err == nil && claim.Status.Allocation == nil && len(claim.Status.ReservedFor) == 0
	})
	e.refused("never", size, "gang schedulinggroup "+e.Namespace+"/never: ")
}

// leave writes what a scheduler does before it binds the first member: the claim has a
// device of the node, for the group.
func (e *env) leave(claim *resourceapi.ResourceClaim, group, node string) {
	e.Helper()
	owner, err := e.Client.SchedulingV1beta1().PodGroups(e.Namespace).Get(e.Context(), group, metav1.GetOptions{})
	if err != nil {
		e.Fatal(err)
	}
	e.AllocateOn(claim.Name, localDriver, node, resourceapi.ResourceClaimConsumerReference{
		APIGroup: schedulingv1beta1.GroupName, Resource: "podgroups", Name: group, UID: owner.UID,
	})
}
