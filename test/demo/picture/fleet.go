// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package picture

// Free is the holder of a device that no pod holds.
const Free = Letter(0)

// Letter identifies a gang in the picture: 'A', 'B', and so on.
type Letter rune

// Fleet is the content of a picture.
type Fleet struct {
	Spines []Spine
	// Gangs are the rows of the table below the picture, in this order.
	Gangs []Gang
}

// Spine is a group of leaves.
type Spine struct {
	Name   string
	Leaves []Leaf
}

// Leaf is a group of nodes.
type Leaf struct {
	Name  string
	Nodes []Node
}

// Node is a machine. The GPU and the NIC of the same index are a pair.
type Node struct {
	Name       string
	GPUs, NICs []Device
	// CPUOnly has the letter of the gang of each pod without devices on this node.
	CPUOnly []Letter
}

// Device is one GPU or NIC.
type Device struct {
	// NUMA is the NUMA node of the device.
	NUMA int64
	// Holder is the gang that holds the device, or Free.
	Holder Letter
	// Pod is the name of the pod that holds it. Devices of two pods are never a pair.
	Pod string
}

// Gang is a row of the table below the picture.
type Gang struct {
	Letter Letter
	// Name is the kind and name of its object: "RayJob pretrain".
	Name string
	// Bound is the number of pods that have a node, of all existing pods (Members).
	Bound, Members int
}

// nodes yields every node with the names of its leaf and spine.
func (f Fleet) nodes(yield func(node Node, leaf, spine string)) {
	for _, spine := range f.Spines {
		for _, leaf := range spine.Leaves {
			for _, node := range leaf.Nodes {
				yield(node, leaf.Name, spine.Name)
			}
		}
	}
}

// Share counts the nodes, domains and devices that one gang holds.
type Share struct {
	Nodes, Leaves, Spines int
	GPUs, NICs            int
	// Pairs counts the NICs that have the GPU of their pair in the same pod.
	Pairs int
}

// Share returns the share of a gang, or of the free devices for Free. A node counts for a
// gang that holds one of its devices. It counts as free if all its devices are free.
func (f Fleet) Share(of Letter) Share {
	var share Share
	leaves, spines := map[string]bool{}, map[string]bool{}
	f.nodes(func(node Node, leaf, spine string) {
		gpus, nics := held(node.GPUs, of), held(node.NICs, of)
		share.GPUs += gpus
		share.NICs += nics
		share.Pairs += node.pairs(of)
		whole := gpus == len(node.GPUs) && nics == len(node.NICs)
		if of == Free && whole || of != Free && gpus+nics > 0 {
			share.Nodes++
			leaves[leaf], spines[spine] = true, true
		}
	})
	share.Leaves, share.Spines = len(leaves), len(spines)
	return share
}

func held(devices []Device, by Letter) int {
	count := 0
	for _, device := range devices {
		if device.Holder == by {
			count++
		}
	}
	return count
}

func (n Node) pairs(of Letter) int {
	count := 0
	for i := range min(len(n.GPUs), len(n.NICs)) {
		gpu, nic := n.GPUs[i], n.NICs[i]
		if gpu.Holder == of && nic.Holder == of && gpu.Pod == nic.Pod {
			count++
		}
	}
	return count
}
