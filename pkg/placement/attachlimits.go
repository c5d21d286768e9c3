// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/storage/volume"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// attachLimits has the limits of CSI drivers on how many volumes a node attaches, counted
// in the same way as by the stock plugin NodeVolumeLimits.
type attachLimits struct {
	// attachable has, by driver and node name, how many more volumes the node attaches.
	// It has only drivers of the gang's volumes, and only nodes that limit these drivers.
	attachable map[string]map[string]int
	// running has, by name of a node with limits, the volumes of the pods on the node.
	running map[string]sets.Set[mount]
	// shared has the volumes that several members use, or a member and a running pod.
	shared sets.Set[mount]
}

// mountOf returns the volume that a CSI driver attaches for a claim. For a claim whose
// volume is missing or cannot be read it returns the volume that the provisioner of the
// claim's class would create. The second result is false if no driver attaches a volume.
func (r *volumeReader) mountOf(claim *v1.PersistentVolumeClaim, bound *v1.PersistentVolume) (mount, bool) {
	if claim.Spec.VolumeName != "" && bound != nil {
		if bound.Spec.CSI == nil {
			return mount{}, false
		}
		return mount{bound.Spec.CSI.Driver, bound.Spec.CSI.VolumeHandle}, true
	}
	class, err := r.source.Class(volume.GetPersistentVolumeClaimClass(claim))
	if err != nil || class.Provisioner == staticProvisioner {
		return mount{}, false
	}
	return mount{class.Provisioner, claim.Namespace + "/" + claim.Name}, true
}

// readAttachLimits reads the attach limits of the CSI drivers of the gang's volumes. It
// marks members with different numbers of such volumes, or with different shared volumes,
// as different for the planner.
func (r *volumeReader) readAttachLimits(request *gangs.Request, nodes []fwk.NodeInfo) {
	users := map[mount]int{}
	drivers := sets.New[string]()
	for _, volumes := range r.pods {
		for _, m := range volumes.mounts {
			users[m]++
			drivers.Insert(m.driver)
		}
	}
	if drivers.Len() == 0 {
		return
	}
	r.readFree(drivers, nodes)
	if len(r.attachable) == 0 {
		return
	}
	r.countRunning(request, nodes, users)
	r.countAttachments()
	for _, volumes := range r.pods {
		volumes.mounts = slices.DeleteFunc(volumes.mounts, func(m mount) bool { return r.attachable[m.driver] == nil })
		slices.SortFunc(volumes.mounts, func(a, b mount) int {
			return cmp.Or(cmp.Compare(a.driver, b.driver), cmp.Compare(a.volume, b.volume))
		})
		volumes.mounts = slices.Compact(volumes.mounts)
		for _, m := range volumes.mounts {
			volumes.addWords("mount", m.driver)
			if r.shared.Has(m) {
				volumes.addWords("shared", m.volume)
			}
		}
	}
}

// readFree reads how many volumes of these CSI drivers each node attaches at most.
func (r *volumeReader) readFree(drivers sets.Set[string], nodes []fwk.NodeInfo) {
	limits := map[string]map[string]int{}
	for _, info := range nodes {
		if info.Node() == nil {
			continue
		}
		name := info.Node().Name
		on, err := r.source.Drivers(name)
		if err != nil || on == nil {
			continue
		}
		for _, d := range on.Spec.Drivers {
			if d.Allocatable == nil || d.Allocatable.Count == nil || !drivers.Has(d.Name) {
				continue
			}
			if limits[d.Name] == nil {
				limits[d.Name] = map[string]int{}
			}
			limits[d.Name][name] = int(*d.Allocatable.Count)
		}
	}
	r.attachable = limits
}

// countRunning subtracts the volumes of running pods from what each node may still
// attach, and finds the volumes that are shared. users has the number of members with a
// volume.
func (r *volumeReader) countRunning(request *gangs.Request, nodes []fwk.NodeInfo, users map[mount]int) {
	members := sets.New[types.UID]()
	for i := range request.Members {
		members.Insert(request.Members[i].Pod.UID)
	}
	r.running, r.shared = map[string]sets.Set[mount]{}, sets.New[mount]()
	for m, n := range users {
		if n > 1 {
			r.shared.Insert(m)
		}
	}
	for _, info := range nodes {
		if info.Node() == nil || !r.limits(info.Node().Name) {
			continue
		}
		there := sets.New[mount]()
		for _, added := range info.GetPods() {
			for _, m := range r.mountsOf(added.GetPod()) {
				there.Insert(m)
				if users[m] > 0 && !members.Has(added.GetPod().UID) {
					r.shared.Insert(m)
				}
			}
		}
		r.running[info.Node().Name] = there
		for m := range there {
			r.take(m.driver, info.Node().Name)
		}
	}
}

// limits reports whether a node limits the attachments of a CSI driver of the gang's
// volumes.
func (a *attachLimits) limits(node string) bool {
	for _, nodes := range a.attachable {
		if _, limited := nodes[node]; limited {
			return true
		}
	}
	return false
}

// take subtracts one volume of a CSI driver from what a node may still attach.
func (a *attachLimits) take(driver, node string) {
	if left, limited := a.attachable[driver][node]; limited {
		a.attachable[driver][node] = left - 1
	}
}

// mountsOf returns the volumes of a running pod that CSI drivers attach to its node.
func (r *volumeReader) mountsOf(pod *v1.Pod) []mount {
	var mounts []mount
	for i := range pod.Spec.Volumes {
		name := volumeClaimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		claim, err := r.source.Claim(pod.Namespace, name)
		if err != nil {
			continue
		}
		var bound *v1.PersistentVolume
		if claim.Spec.VolumeName != "" {
			if bound, err = r.source.Volume(claim.Spec.VolumeName); err != nil {
				bound = nil
			}
		}
		if m, ok := r.mountOf(claim, bound); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// countAttachments subtracts volumes that are attached to a node, without a pod there
// that uses them, from what the node may still attach.
func (r *volumeReader) countAttachments() {
	attachments, err := r.source.ListAttachments()
	if err != nil {
		return
	}
	counted := map[string]sets.Set[mount]{}
	for _, attachment := range attachments {
		name, node := attachment.Spec.Source.PersistentVolumeName, attachment.Spec.NodeName
		if name == nil || r.running[node] == nil || r.attachable[attachment.Spec.Attacher] == nil {
			continue
		}
		attached, err := r.source.Volume(*name)
		if err != nil || attached.Spec.CSI == nil {
			continue
		}
		m := mount{attachment.Spec.Attacher, attached.Spec.CSI.VolumeHandle}
		if counted[node] == nil {
			counted[node] = sets.New[mount]()
		}
		if !r.running[node].Has(m) && !counted[node].Has(m) {
			counted[node].Insert(m)
			r.take(m.driver, node)
		}
	}
}

// nodeLimits returns the attach limits of CSI drivers as the planner's node limits.
func (r *volumeReader) nodeLimits(roles []roleInput) []plan.NodeLimit {
	var limits []plan.NodeLimit
	for _, driver := range slices.Sorted(maps.Keys(r.attachable)) {
		limit := plan.NodeLimit{
			Name: fmt.Sprintf("attachments of driver %s", driver), Free: r.attachable[driver], Present: map[string][]string{},
		}
		things := sets.New[string]()
		for i := range roles {
			user := plan.LimitUser{Role: roles[i].Name}
			for _, m := range r.of(roles[i].sample).mounts {
				switch {
				case m.driver != driver:
				case r.shared.Has(m):
					user.Shared = append(user.Shared, m.volume)
					things.Insert(m.volume)
				default:
					user.Own++
				}
			}
			if user.Own > 0 || len(user.Shared) > 0 {
				limit.Users = append(limit.Users, user)
			}
		}
		for _, thing := range sets.List(things) {
			for node := range limit.Free {
				if r.running[node].Has(mount{driver, thing}) {
					limit.Present[node] = append(limit.Present[node], thing)
				}
			}
		}
		limits = append(limits, limit)
	}
	return limits
}
