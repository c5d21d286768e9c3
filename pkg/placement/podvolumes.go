// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/binary"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/storage/volume"
)

// podVolumes is what the volumes of a pod ask of its node.
type podVolumes struct {
	// key is equal for pods that the planner may treat alike as far as volumes go, and ""
	// for a pod without volumes that matter.
	key string
	// bound are the pod's volumes.
	bound []*v1.PersistentVolume
	// waiting are the pod's claims that get one of the volumes that exist once the pod
	// has a node, the smallest first. joint are such claims that other members have too.
	waiting, joint []*v1.PersistentVolumeClaim
	// provisioned are the pod's claims that get a new volume once the pod has a node.
	provisioned []*v1.PersistentVolumeClaim
	// selected is the node that an earlier cycle selected for one of provisioned, "" for
	// none.
	selected string
	// zoned are the pod's volumes with a zone or region in their labels.
	zoned []*v1.PersistentVolume
	// mounts are the volumes that a CSI driver attaches to the node.
	mounts []mount
	// exclusive are the claims that only one pod may use at a time.
	exclusive []string
}

// mount is a volume that a CSI driver attaches to the node of a pod.
type mount struct {
	driver string
	// volume is equal for the same volume of the driver.
	volume string
}

// addObject adds an object to the key.
func (p *podVolumes) addObject(kind string, object interface{ Marshal() ([]byte, error) }) {
	if encoded, err := object.Marshal(); err == nil {
		p.addWords(kind, string(encoded))
	}
}

// addWords adds words to the key.
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

// limitNodes reports whether the pod's volumes exclude nodes, or nodes have a number of
// them.
func (p *podVolumes) limitNodes() bool {
	return len(p.bound)+len(p.zoned)+len(p.waiting)+len(p.joint) > 0 || p.selected != ""
}
