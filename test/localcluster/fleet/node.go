// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels of the levels of the network fabric as topograph writes them, from the level closest
// to the node outward.
const (
	LabelLeaf  = "network.topology.nvidia.com/leaf"
	LabelSpine = "network.topology.nvidia.com/spine"
	LabelCore  = "network.topology.nvidia.com/core"
)

// LabelFleet names the fleet that a node belongs to.
const LabelFleet = "localcluster.dovetail.dev/fleet"

// Annotation of the nodes that KWOK manages.
const (
	AnnotationKwok      = "kwok.x-k8s.io/node"
	AnnotationKwokValue = "fake"
)

// maxAttributeLength is the API server's limit on a string attribute of a device.
const maxAttributeLength = 64

// Position is the position of a node in its fleet; each number counts from 1.
type Position struct{ Spine, Leaf, Node int }

// Node is one simulated machine of a fleet.
type Node struct {
	// Fleet is the fleet that the machine belongs to.
	Fleet Spec
	// Position is its position in the fleet.
	Position Position
}

// All yields every node of the fleet, spine by spine and leaf by leaf.
func (s Spec) All() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for i := range s.Size() {
			if !yield(s.at(i)) {
				return
			}
		}
	}
}

// at returns the i-th node, counted from 0.
func (s Spec) at(i int) Node {
	return Node{Fleet: s, Position: Position{
		Spine: i/(s.Leaves*s.Nodes) + 1,
		Leaf:  i/s.Nodes%s.Leaves + 1,
		Node:  i%s.Nodes + 1,
	}}
}

// Name returns the node's name: FLEET-s1-l2-n3, with padded numbers, so names sort by
// position.
func (n Node) Name() string { return nodeName(n.Fleet, n.Position) }

// Leaf returns the name of the node's leaf, the value of LabelLeaf.
func (n Node) Leaf() string { return leafName(n.Fleet, n.Position) }

// Spine returns the name of the node's spine, the value of LabelSpine.
func (n Node) Spine() string { return spineName(n.Fleet, n.Position) }

// Object returns the Node as its kubelet would report it, ready for pods, without taints. The API server adds the
// not-ready taint to every new node and the node lifecycle controller removes it.
func (n Node) Object() *corev1.Node {
	shape := shapes[n.Fleet.Shape]
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        n.Name(),
			Labels:      n.labels(shape),
			Annotations: map[string]string{AnnotationKwok: AnnotationKwokValue},
		},
		Spec: corev1.NodeSpec{ProviderID: "localcluster://" + n.Name()},
		Status: corev1.NodeStatus{
			Phase:       corev1.NodeRunning,
			Capacity:    shape.resources(),
			Allocatable: shape.resources(),
			Conditions:  conditions(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: nodeAddress},
				{Type: corev1.NodeHostName, Address: n.Name()},
			},
			NodeInfo: corev1.NodeSystemInfo{
				OperatingSystem: "linux", Architecture: shape.arch, KubeletVersion: "kwok", ContainerRuntimeVersion: "kwok",
			},
		},
	}
}

// nodeAddress is the address of every node. kubectl logs and exec thus connect to this
// machine.
const nodeAddress = "127.0.0.1"

// conditions returns the conditions of a healthy kubelet. KWOK needs several writes to make
// a node ready; a node created with these conditions saves them. With 5,000 nodes that
// saves minutes.
func conditions() []corev1.NodeCondition {
	conditions := []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status",
	}}
	for _, absent := range []corev1.NodeConditionType{
		corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable,
	} {
		conditions = append(conditions, corev1.NodeCondition{Type: absent, Status: corev1.ConditionFalse, Reason: "None"})
	}
	return conditions
}

func (n Node) labels(shape shape) map[string]string {
	labels := map[string]string{
		corev1.LabelHostname:           n.Name(),
		corev1.LabelOSStable:           "linux",
		corev1.LabelArchStable:         shape.arch,
		"beta.kubernetes.io/os":        "linux",
		"beta.kubernetes.io/arch":      shape.arch,
		corev1.LabelInstanceTypeStable: shape.instanceType,
		corev1.LabelTopologyZone:       n.Fleet.Zone,
		corev1.LabelTopologyRegion:     "local",
		LabelLeaf:                      n.Leaf(),
		LabelSpine:                     n.Spine(),
		LabelCore:                      n.Fleet.Name,
		LabelFleet:                     n.Fleet.Name,
	}
	if shape.labels != nil {
		maps.Copy(labels, shape.labels(n))
	}
	if shape.rack > 0 {
		// The value is the UUID of the NVLink cluster and the number of its partition.
		labels[LabelClique] = uuid("nvlink", n.Leaf()) + ".1"
	}
	return labels
}

func nodeName(s Spec, p Position) string {
	return leafName(s, p) + "-n" + pad(p.Node, s.Nodes)
}

func leafName(s Spec, p Position) string {
	return spineName(s, p) + "-l" + pad(p.Leaf, s.Leaves)
}

func spineName(s Spec, p Position) string {
	return s.Name + "-s" + pad(p.Spine, s.Spines)
}

func pad(number, of int) string {
	return fmt.Sprintf("%0*d", len(strconv.Itoa(of)), number)
}

// uuid returns an identifier derived from its parts. It is stable, like the UUID of real
// hardware.
func uuid(parts ...string) string {
	sum := sha1.Sum([]byte(strings.Join(parts, "/")))
	text := hex.EncodeToString(sum[:16])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}
