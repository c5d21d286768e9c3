// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/binary"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// podVolumes has what limits the nodes of a pod because of its volumes.
type podVolumes struct {
	// key is equal for pods that the planner may treat alike as far as volumes go. It is
	// "" for a pod without volumes that limit its nodes.
	key string
	// bound has the pod's volumes that can be used only on some nodes.
	bound []*v1.PersistentVolume
	// waiting has the pod's claims that get one of the existing volumes once the pod has
	// a node, the smallest first. joint has such claims that other members have as well.
	waiting, joint []*v1.PersistentVolumeClaim
	// provisioned has the pod's claims that get a new volume once the pod has a node. After
	// separateJoint it has only those that other members have as well.
	provisioned []*v1.PersistentVolumeClaim
	// selected is the node that an earlier cycle selected for one of the provisioned
	// claims, "" for none.
	selected string
	// zoned has the pod's volumes with a zone or region in their labels.
	zoned []*v1.PersistentVolume
	// mounts has the pod's volumes that a CSI driver attaches to its node.
	mounts []mount
	// exclusive has the names of the pod's claims that only one pod may use at a time.
	exclusive []string
}

// mount is a volume that a CSI driver attaches to the node of a pod.
type mount struct {
	driver string
	// volume identifies the volume for the driver.
	volume string
}

// addObject adds the encoding of an API object to the key, which tells different pods
// apart.
func (p *podVolumes) addObject(kind string, object interface{ Marshal() ([]byte, error) }) {
	if encoded, err := object.Marshal(); err == nil {
		p.addWords(kind, string(encoded))
	}
}

// addWords adds words to the key, which tells different pods apart.
func (p *podVolumes) addWords(words ...string) {
	key := []byte(p.key)
	for _, word := range words {
		key = append(binary.AppendUvarint(key, uint64(len(word))), word...)
	}
	p.key = string(key)
}

// reachable reports whether the pod's volumes can be used on the node.
func (p *podVolumes) reachable(node *v1.Node) bool {
	for _, v := range p.bound {
		if volume.CheckNodeAffinity(v, node.Labels) != nil {
			return false
		}
	}
	return p.selected == "" || p.selected == node.Name
}

// limitNodes reports whether the pod's volumes limit its nodes: some can be used only on
// some nodes, or some claims wait for volumes that exist already.
func (p *podVolumes) limitNodes() bool {
	return len(p.bound)+len(p.zoned)+len(p.waiting)+len(p.joint) > 0 || p.selected != ""
}

// separateJoint moves the claims that other members use as well from waiting to joint. Of
// provisioned it keeps only such claims. It adds all of them to the key, because members
// with different joint claims differ. users has, by claim, the number of members with it.
func (p *podVolumes) separateJoint(users map[string]int) {
	p.waiting = slices.DeleteFunc(p.waiting, func(claim *v1.PersistentVolumeClaim) bool {
		joint := users[claim.Name] > 1
		if joint {
			p.joint = append(p.joint, claim)
			p.addWords("joint", claim.Name)
		}
		return joint
	})
	p.provisioned = slices.DeleteFunc(p.provisioned, func(claim *v1.PersistentVolumeClaim) bool { return users[claim.Name] < 2 })
	for _, claim := range p.provisioned {
		p.addWords("joint", claim.Name)
	}
}
