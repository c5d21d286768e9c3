// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// The in-tree plugin ignores pods that a dry run removes: it asks for devices that are free now,
// so no preemption helps a pod that needs devices. In the cycle of such a pod DRAAware knows the
// pods that are taken to be gone, from cluster.SetGone or because preemption removes them
// one by one. The in-tree plugin then sees the claims that only these pods use as unallocated.

// removedKey is the CycleState key of removed.
const removedKey fwk.StateKey = Name + "/removed"

// removed has the pods that a dry run has removed since the cycle's PreFilter.
type removed struct {
	gone *cluster.GonePods
	// version is the version of gone for which the in-tree plugin's state was prepared, and
	// node the only node for which it was, "" for all nodes.
	version int
	node    string
}

// Clone returns a copy that can be changed: preemption tries several nodes at once.
func (r *removed) Clone() fwk.StateData {
	return &removed{gone: r.gone.Clone(), version: r.version, node: r.node}
}

func removedOf(state fwk.CycleState) *removed {
	data, err := state.Read(removedKey)
	if err != nil {
		return nil
	}
	r, _ := data.(*removed)
	return r
}

// PreFilterExtensions returns the functions by which dry runs remove pods and put them back.
func (d *DRAAware) PreFilterExtensions() fwk.PreFilterExtensions { return d }

// RemovePod takes a pod to be gone for the pod of the cycle.
func (d *DRAAware) RemovePod(_ context.Context, state fwk.CycleState, pod *v1.Pod, gone fwk.PodInfo, _ fwk.NodeInfo) *fwk.Status {
	if d.devices == nil || !cluster.RequestsDevices(pod) || !cluster.RequestsDevices(gone.GetPod()) {
		return nil
	}
	r := removedOf(state)
	if r == nil {
		base := d.view.GoneOf(state)
		if base.Has(gone.GetPod().UID) {
			return nil // PreFilter took it to be gone
		}
		r = d.begunWith(state, base)
	}
	r.gone.Remove(gone.GetPod())
	return nil
}

// AddPod takes a pod to be there again for the pod of the cycle. It ignores pods that were
// not removed: nominated pods, and copies of the cycle's pod.
func (d *DRAAware) AddPod(_ context.Context, state fwk.CycleState, _ *v1.Pod, back fwk.PodInfo, _ fwk.NodeInfo) *fwk.Status {
	r := removedOf(state)
	if r == nil {
		base := d.view.GoneOf(state)
		if !base.Has(back.GetPod().UID) {
			return nil
		}
		r = d.begunWith(state, base)
	}
	r.gone.PutBack(back.GetPod())
	return nil
}

// begunWith notes in the state that PreFilter took the pods of base to be gone.
func (d *DRAAware) begunWith(state fwk.CycleState, base *cluster.GonePods) *removed {
	r := &removed{gone: base.Clone()}
	r.version = r.gone.Version
	state.Write(removedKey, r)
	return r
}

// prepareAgain prepares the in-tree plugin's state for one node, if other pods are taken to be
// gone now than when it was prepared. It reads only the devices that this node can use.
func (d *DRAAware) prepareAgain(ctx context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	r, node := removedOf(state), info.Node().Name
	if r == nil || r.version == r.gone.Version && (r.node == "" || r.node == node) {
		return nil
	}
	// Members of a PodGroup that the dry run placed before this pod hold devices.
	if err := d.count(pod); err != nil {
		return fwk.AsStatus(err)
	}
	planned := cluster.PlannedOf(state)
	planned.Node = node
	set, err := d.settingOf(pod, planned, r.gone)
	if err != nil {
		return fwk.AsStatus(err)
	}
	_, status := d.prepare(ctx, state, pod, []fwk.NodeInfo{info}, set)
	r.version, r.node = r.gone.Version, node
	if status.IsSkip() {
		return nil
	}
	return status
}

// freedBy returns the claims that lose their devices if the pods of a set are gone. With a node
// it leaves out claims that concern neither devices of this node nor the given pod.
func (d *DRAAware) freedBy(gone *cluster.GonePods, pod *v1.Pod, node string) *devices.ClaimSet {
	if gone == nil {
		return nil
	}
	if node == "" || d.devices.Inventory().SharesPools() {
		return d.freedByAll(gone)
	}
	freed := devices.NewClaimSet()
	for _, claim := range d.idleOn(node) {
		freed.Add(claim.UID, d.devices.AllocationOf(claim))
	}
	for _, victim := range gone.On(node) {
		d.addFreed(freed, gone, victim)
	}
	for _, claim := range d.namedClaims(pod) {
		d.addClaim(freed, gone, claim)
	}
	return freed
}

// freedByAll returns all claims that lose their devices. It keeps the last result: the roles of a
// gang, and their nodes, are tried with one set.
func (d *DRAAware) freedByAll(gone *cluster.GonePods) *devices.ClaimSet {
	if last := d.lastFreed.Load(); last != nil && last.gone == gone && last.version == gone.Version {
		return last.freed
	}
	freed := devices.NewClaimSet()
	gone.All(func(pod *v1.Pod) { d.addFreed(freed, gone, pod) })
	d.lastFreed.Store(&freedAll{gone: gone, version: gone.Version, freed: freed})
	return freed
}

// addFreed adds the claims of a pod of the set.
func (d *DRAAware) addFreed(freed *devices.ClaimSet, gone *cluster.GonePods, pod *v1.Pod) {
	for _, claim := range d.namedClaims(pod) {
		d.addClaim(freed, gone, claim)
	}
	if uid, allocation := d.devices.PendingExtended(pod.UID); allocation != nil {
		freed.Add(uid, allocation)
	}
	objs, err := d.extended.ByIndex(extendedByPod, string(pod.UID))
	if err != nil {
		return // there is always such an index
	}
	for _, obj := range objs {
		if published, ok := obj.(*resourceapi.ResourceClaim); ok {
			if claim, err := d.claims.Get(published.Namespace, published.Name); err == nil && claim.UID == published.UID {
				d.addClaim(freed, gone, claim)
			}
		}
	}
}

// namedClaims returns the existing claims that the pod lists.
func (d *DRAAware) namedClaims(pod *v1.Pod) (claims []*resourceapi.ResourceClaim) {
	for name := range resourceclaim.PodClaims(pod) {
		if claim, err := d.claims.Get(pod.Namespace, name); err == nil {
			claims = append(claims, claim)
		}
	}
	return claims
}

// addClaim adds the claim if it has devices that only pods of the set use.
func (d *DRAAware) addClaim(freed *devices.ClaimSet, gone *cluster.GonePods, claim *resourceapi.ResourceClaim) {
	if allocation := d.devices.AllocationOf(claim); allocation != nil && d.deallocatedWithout(gone, claim) {
		freed.Add(claim.UID, allocation)
	}
}

// deallocatedWithout reports whether the claim loses its devices when the pods of the set are
// gone. The resource claim controller deallocates a claim when the last pod leaves its
// reservedFor; a claim of a pod is deleted with the pod. A claim that is reserved for a PodGroup
// keeps its devices while the PodGroup exists, and a claim that is reserved for nobody keeps
// them too.
func (d *DRAAware) deallocatedWithout(gone *cluster.GonePods, claim *resourceapi.ResourceClaim) bool {
	if owner := metav1.GetControllerOfNoCopy(claim); owner != nil && owner.Kind == "Pod" {
		return gone.Has(owner.UID)
	}
	if claim.Status.Allocation != nil && len(claim.Status.ReservedFor) == 0 {
		return false
	}
	reserved := map[types.UID]bool{}
	for _, user := range claim.Status.ReservedFor {
		if user.Resource != "pods" || !gone.Has(user.UID) {
			return false
		}
		reserved[user.UID] = true
	}
	return !d.hasOtherUser(claim, gone)
}

// hasOtherUser reports whether a pod outside the set runs with the claim or is about to: the pod
// waits in Permit or is being bound, and is perhaps not in the claim's reservedFor yet.
func (d *DRAAware) hasOtherUser(claim *resourceapi.ResourceClaim, gone *cluster.GonePods) bool {
	objs, err := d.pods.ByIndex(claimIndexPrefix+d.profile, claim.Namespace+"/"+claim.Name)
	if err != nil {
		return true // without the index any pod may use it
	}
	for _, obj := range objs {
		pod, ok := obj.(*v1.Pod)
		if !ok || gone.Has(pod.UID) {
			continue
		}
		if pod.Spec.NodeName != "" || d.real.GetWaitingPod(pod.UID) != nil || d.real.GetPodInPreBind(pod.UID) != nil {
			return true
		}
	}
	return false
}

// claimIndexPrefix, with the profile's name, is the name of the in-tree plugin's index of the pods
// of a claim.
const claimIndexPrefix = "schedulerPodResourceClaim-"

// settingOf returns the setting for a pod and its plan, if the pods of a set are taken to be gone.
func (d *DRAAware) settingOf(pod *v1.Pod, planned cluster.Planned, gone *cluster.GonePods) (setting, error) {
	s := setting{planned: planned}
	if d.devices == nil || !cluster.RequestsDevices(pod) {
		return s, nil
	}
	s.shown = d.devices.Inventory()
	if gone == nil {
		return s, nil
	}
	s.freed = d.freedBy(gone, pod, planned.Node)
	without, err := d.devices.Without(s.freed)
	if err != nil {
		return s, fmt.Errorf("reading the devices without the pods of a dry run: %w", err)
	}
	s.shown = without
	return s, nil
}
