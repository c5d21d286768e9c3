// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// volumeCase is a gang of members that each have claim-0, claim-1 and so on.
type volumeCase struct {
	running []*v1.Pod
	prepare func(*storage)
	// claims are those of each member.
	claims [][]string
	// heads is how many members are of role head. The others are of role w.
	heads, quorum int
	cpu           string
	// placed are members with a node.
	placed map[string]string
	want   []string
	// refusal is a part of the sentence.
	refusal string
}

func (tc *volumeCase) run(t *testing.T) (*fixture, Outcome) {
	f := newFixture(t, tc.running...)
	for _, info := range f.nodes {
		info.Node().Labels[v1.LabelHostname] = info.Node().Name
	}
	s := &storage{claims: map[string]*v1.PersistentVolumeClaim{}, drivers: map[string]*storagev1.CSINode{}, classes: map[string]string{}}
	tc.prepare(s)
	f.placer.options.Volumes = s
	request := anywhere(len(tc.claims), 0)
	request.Placed = map[types.UID]string{}
	for i := range request.Members {
		m := &request.Members[i]
		withCPU(tc.cpu)(m.Pod)
		withVolumes(tc.claims[i]...)(m.Pod)
		m.Signature = 1 // members differ by their volumes alone
		if i < tc.heads {
			m.Role, m.Signature = "head", 2
		}
		if node := tc.placed[m.Pod.Name]; node != "" {
			request.Placed[m.Pod.UID] = node
		}
	}
	request.Gang.Min = tc.quorum
	request.Gang.Roles = []gangs.Role{{Name: "w", Min: tc.quorum - tc.heads}}
	if tc.heads > 0 {
		request.Gang.Roles = append(request.Gang.Roles, gangs.Role{Name: "head", Min: tc.heads})
	}
	out := f.place(request)
	claims := len(tc.running)
	for i := range tc.claims {
		claims += len(tc.claims[i])
	}
	if s.reads > claims {
		t.Errorf("%d claims were read %d times", claims, s.reads)
	}
	return f, out
}

// claimEach returns one claim for each of n members.
func claimEach(n int) [][]string {
	claims := make([][]string, n)
	for i := range claims {
		claims[i] = []string{fmt.Sprint("claim-", i)}
	}
	return claims
}

// waiting adds n claims without a volume.
func (s *storage) waiting(n int) {
	for i := range n {
		s.claim(fmt.Sprint("claim-", i), "")
	}
}

// sized adds a volume of a size on some nodes.
func (s *storage) sized(name, size string, nodes ...string) {
	s.local(name, v1.LabelHostname, nodes[0])
	v := s.volumes[len(s.volumes)-1]
	v.Spec.Capacity[v1.ResourceStorage] = resource.MustParse(size)
	v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values = nodes
}

// attaching makes the nodes attach so many volumes of driver csi, which is also the
// provisioner of class local.
func (s *storage) attaching(limit int32, nodes ...string) {
	s.classes["local"] = "csi"
	for _, node := range nodes {
		s.drivers[node] = &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
			{Name: "csi", Allocatable: &storagev1.VolumeNodeResources{Count: &limit}},
		}}}
	}
}

// onDriver adds a volume of driver csi, bound to a claim.
func (s *storage) onDriver(claim string) {
	name := "pv-" + claim
	s.claim(claim, name)
	s.volumes = append(s.volumes, &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PersistentVolumeSpec{PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{
			Driver: "csi", VolumeHandle: "handle-" + claim,
		}}},
	})
}

func using(claim, name, node string) *v1.Pod {
	pod := cpuPod(name, "1", node)
	withVolumes(claim)(pod)
	return pod
}

var allNodes = []string{"l1-a", "l1-b", "l2-a", "l2-b"}

func TestVolumesThatExistOnce(t *testing.T) {
	for name, tc := range map[string]volumeCase{
		"two roles find one volume on each node": {
			prepare: func(s *storage) {
				s.sized("v0", "1Gi", "l1-a")
				s.sized("v1", "1Gi", "l1-b")
				s.waiting(2)
			},
			claims: claimEach(2), heads: 1, quorum: 2, cpu: "1",
			want: []string{"l1-a", "l1-b"},
		},
		"two roles and one volume": {
			prepare: func(s *storage) {
				s.sized("v0", "1Gi", "l1-a")
				s.waiting(2)
			},
			claims: claimEach(2), heads: 1, quorum: 2, cpu: "1",
			refusal: "1 of 2 members fit the fabric; excluded 3 nodes: filters 3 (3 by VolumeBinding: \"node(s) didn't find available",
		},
		"a volume of two nodes": {
			prepare: func(s *storage) {
				s.sized("v0", "1Gi", "l1-a", "l1-b")
				s.waiting(2)
			},
			claims: claimEach(2), quorum: 2, cpu: "1",
			refusal: "1 of 2 members fit",
		},
		"a volume of two nodes and one of another": {
			prepare: func(s *storage) {
				s.sized("v0", "1Gi", "l1-a", "l1-b")
				s.sized("v1", "1Gi", "l2-b")
				s.waiting(2)
			},
			claims: claimEach(2), quorum: 2, cpu: "1",
			want: []string{"l1-a", "l2-b"},
		},
		// On l1 the member of l1-a could take v1, which l1-b needs.
		"certain before near": {
			prepare: func(s *storage) {
				s.sized("v0", "3Gi", "l1-a")
				s.sized("v1", "2Gi", "l1-a", "l1-b")
				s.sized("v2", "1Gi", "l2-b")
				s.waiting(2)
			},
			claims: claimEach(2), quorum: 2, cpu: "4",
			want: []string{"l1-a", "l2-b"},
		},
		"only a fortunate order": {
			prepare: func(s *storage) {
				s.sized("v0", "3Gi", "l1-a")
				s.sized("v1", "2Gi", "l1-a", "l1-b")
				s.waiting(2)
			},
			claims: claimEach(2), quorum: 2, cpu: "4",
			want: []string{"l1-a", "l1-b"},
		},
		"a member with a node has its volume": {
			prepare: func(s *storage) {
				s.sized("v0", "1Gi", "l1-a")
				s.sized("v1", "1Gi", "l2-a")
				s.waiting(2)
			},
			claims: claimEach(2), quorum: 2, cpu: "1",
			placed: map[string]string{"train-0": "l1-a"},
			want:   []string{"l2-a"},
		},
		"members that share a claim need one volume": {
			prepare: func(s *storage) {
				s.sized("v0", "1Gi", "l2-a")
				s.waiting(1)
			},
			claims: [][]string{{"claim-0"}, {"claim-0"}}, quorum: 2, cpu: "1",
			want: []string{"l2-a", "l2-a"},
		},
	} {
		t.Run(name, tc.check)
	}
}

func (tc volumeCase) check(t *testing.T) {
	f, out := tc.run(t)
	switch {
	case tc.refusal != "":
		if out.Placed || !strings.Contains(out.Refusal, tc.refusal) {
			t.Errorf("placed is %v, refused: %q, want %q", out.Placed, out.Refusal, tc.refusal)
		}
	case !out.Placed:
		t.Errorf("refused: %q", out.Refusal)
	default:
		f.checkNodes(out.Assignment.Nodes, tc.want...)
	}
}

func TestAttachLimits(t *testing.T) {
	for name, tc := range map[string]volumeCase{
		"two volumes on each node": {
			prepare: func(s *storage) {
				s.attaching(2, allNodes...)
				s.waiting(5)
			},
			claims: claimEach(5), quorum: 5, cpu: "1",
			want: []string{"l1-a", "l1-a", "l1-b", "l1-b", "l2-a"},
		},
		"two roles": {
			prepare: func(s *storage) {
				s.attaching(2, allNodes...)
				s.waiting(3)
			},
			claims: claimEach(3), heads: 1, quorum: 3, cpu: "1",
			want: []string{"l1-a", "l1-b", "l1-b"},
		},
		"too many": {
			prepare: func(s *storage) {
				s.attaching(0, allNodes...)
				s.waiting(1)
			},
			claims: claimEach(1), quorum: 1, cpu: "1",
			refusal: "excluded 4 nodes: attachments of driver csi 4",
		},
		"running pods": {
			running: []*v1.Pod{using("data", "other", "l1-a")},
			prepare: func(s *storage) {
				s.attaching(1, allNodes[:2]...)
				s.attaching(0, allNodes[2:]...)
				s.onDriver("data")
				s.waiting(1)
			},
			claims: claimEach(1), quorum: 1, cpu: "1",
			want: []string{"l1-b"},
		},
		"volumes that left their pods": {
			prepare: func(s *storage) {
				s.attaching(1, allNodes[:2]...)
				s.attaching(0, allNodes[2:]...)
				s.onDriver("data")
				attached := "pv-data"
				s.attachments = []*storagev1.VolumeAttachment{{Spec: storagev1.VolumeAttachmentSpec{
					Attacher: "csi", NodeName: "l1-a", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &attached},
				}}}
				s.waiting(1)
			},
			claims: claimEach(1), quorum: 1, cpu: "1",
			want: []string{"l1-b"},
		},
		"a volume of all members": {
			prepare: func(s *storage) {
				s.attaching(1, allNodes...)
				s.onDriver("data")
			},
			claims: [][]string{{"data"}, {"data"}, {"data"}}, quorum: 3, cpu: "1",
			want: []string{"l1-a", "l1-a", "l1-a"},
		},
		"a volume that is on the node": {
			running: []*v1.Pod{using("data", "other", "l2-a")},
			prepare: func(s *storage) {
				s.attaching(0, "l1-a", "l1-b", "l2-b")
				s.attaching(1, "l2-a")
				s.onDriver("data")
			},
			claims: [][]string{{"data"}}, quorum: 1, cpu: "1",
			want: []string{"l2-a"},
		},
		"a member without a volume": {
			prepare: func(s *storage) {
				s.attaching(0, allNodes[1:]...)
				s.attaching(1, "l1-a")
				s.waiting(1)
			},
			claims: [][]string{{"claim-0"}, nil}, quorum: 2, cpu: "3",
			want: []string{"l1-a", "l1-b"},
		},
	} {
		t.Run(name, tc.check)
	}
}

func TestExclusiveClaims(t *testing.T) {
	exclusive := func(s *storage) {
		s.onDriver("data")
		s.claims["data"].Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadWriteOncePod}
	}
	for name, tc := range map[string]volumeCase{
		"two members": {
			prepare: exclusive, claims: [][]string{{"data"}, {"data"}}, quorum: 2, cpu: "1",
			refusal: "claim data is ReadWriteOncePod, so only one of its members can run",
		},
		"two roles": {
			prepare: exclusive, claims: [][]string{{"data"}, {"data"}}, heads: 1, quorum: 2, cpu: "1",
			refusal: "1 of 2 members fit the fabric; excluded 3 nodes: ReadWriteOncePod claim data 3; 1 node with members is full for role w: ReadWriteOncePod claim data 1; claim data is",
		},
		"one is enough": {
			prepare: exclusive, claims: [][]string{{"data"}, {"data"}}, quorum: 1, cpu: "1",
			want: []string{"l1-a"},
		},
		"another pod": {
			running: []*v1.Pod{using("data", "other", "l1-a")},
			prepare: exclusive, claims: [][]string{{"data"}}, quorum: 1, cpu: "1",
			refusal: "claim data is ReadWriteOncePod and another pod uses it",
		},
		"a single member": {
			prepare: exclusive, claims: [][]string{{"data"}, nil}, quorum: 2, cpu: "1",
			want: []string{"l1-a", "l1-a"},
		},
	} {
		t.Run(name, tc.check)
	}
}
