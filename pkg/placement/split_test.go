// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// anywhere returns a request like gangOf without a required level. Each change is made to
// the member with its index; members that got a change differ from the others.
func anywhere(members, quorum int, changes ...func(*v1.Pod)) gangs.Request {
	request := gangOf(members, quorum)
	request.Gang.Topology = gangs.Topology{}
	for i, change := range changes {
		if change != nil {
			change(request.Members[i].Pod)
			request.Members[i].Signature = gangs.Signature(i + 1)
		}
	}
	return request
}

func onNodesWith(label, value string) func(*v1.Pod) {
	return func(pod *v1.Pod) { pod.Spec.NodeSelector = map[string]string{label: value} }
}

func withCPU(cpu string) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)}
	}
}

// each returns the same change for so many members.
func each(n int, change func(*v1.Pod)) []func(*v1.Pod) {
	changes := make([]func(*v1.Pod), n)
	for i := range changes {
		changes[i] = change
	}
	return changes
}

func withPort(port int32, ip string) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: port, HostIP: ip, Protocol: v1.ProtocolTCP}}
	}
}

// awayFrom keeps a pod out of the domains of a key that have a pod with the team.
func awayFrom(team, key string) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		pod.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}},
			}},
		}}
	}
}

func inTeam(team string) func(*v1.Pod) {
	return func(pod *v1.Pod) { pod.Labels = map[string]string{"team": team} }
}

func all(changes ...func(*v1.Pod)) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		for _, change := range changes {
			change(pod)
		}
	}
}

// Members of one role may ask for different things, and may be in each other's way. The
// filters of the fixture know nothing of that: the plan must.
func TestMembersThatDiffer(t *testing.T) {
	leaf1, leaf2 := onNodesWith("leaf", "l1"), onNodesWith("leaf", "l2")
	for name, tc := range map[string]struct {
		request gangs.Request
		// want has the planned node of each member, "" for a refused gang.
		want    map[string]string
		refusal string
	}{
		"a node selector each": {
			request: anywhere(3, 3, leaf2, leaf1, leaf2),
			want:    map[string]string{"train-0": "l2-a", "train-1": "l1-a", "train-2": "l2-b"},
		},
		"a quorum across them": {
			request: anywhere(3, 2, onNodesWith("leaf", "l9"), leaf2, leaf2),
			want:    map[string]string{"train-1": "l2-a", "train-2": "l2-b"},
		},
		"a selector without nodes": {
			request: anywhere(2, 2, onNodesWith("leaf", "l9"), leaf2),
			refusal: "gang podgroup ml/train: no node has label leaf=l9, which the node selector of pod train-0 requires",
		},
		"a required leaf holds them together": {
			request: func() gangs.Request {
				request := anywhere(2, 2, withCPU("3"), withCPU("2"))
				request.Gang.Roles[0].Topology.Required = "leaf"
				return request
			}(),
			want: map[string]string{"train-0": "l1-a", "train-1": "l1-b"},
		},
		"a host port across roles": {
			request: anywhere(3, 3, all(withCPU("1"), withPort(9000, "")), withPort(9000, "10.0.0.1"), withCPU("1")),
			want:    map[string]string{"train-0": "l1-a", "train-1": "l1-b", "train-2": "l1-a"},
		},
		"a port of another address": {
			request: anywhere(2, 2, all(withCPU("1"), withPort(9000, "10.0.0.2")), all(withCPU("2"), withPort(9000, "10.0.0.1"))),
			want:    map[string]string{"train-0": "l1-a", "train-1": "l1-a"},
		},
		"anti-affinity between leaves": {
			request: anywhere(2, 2, all(withCPU("1"), awayFrom("red", "leaf")), all(withCPU("1"), inTeam("red"))),
			want:    map[string]string{"train-0": "l1-a", "train-1": "l2-a"},
		},
		"anti-affinity to itself": {
			request: anywhere(3, 3, each(3, all(withCPU("1"), inTeam("red"), awayFrom("red", v1.LabelHostname)))...),
			want:    map[string]string{"train-0": "l1-a", "train-1": "l1-b", "train-2": "l2-a"},
		},
		"more leaves than there are": {
			request: anywhere(3, 3, each(3, all(withCPU("1"), inTeam("red"), awayFrom("red", "leaf")))...),
			refusal: "gang podgroup ml/train: 2 of 3 members fit the fabric",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			out := f.place(tc.request)
			if !out.Placed {
				if tc.refusal == "" || !hasPrefix(out.Refusal, tc.refusal) {
					t.Errorf("refused: %q, want %q", out.Refusal, tc.refusal)
				}
				return
			}
			if diff := cmp.Diff(tc.want, byName(out.Assignment.Nodes)); diff != "" {
				t.Errorf("nodes (-want,+got):\n%s", diff)
			}
		})
	}
}

func hasPrefix(text, prefix string) bool {
	return len(text) >= len(prefix) && text[:len(prefix)] == prefix
}

func byName(nodes map[types.UID]string) map[string]string {
	named := map[string]string{}
	for uid, node := range nodes {
		named[string(uid[len("uid-"):])] = node
	}
	return named
}

// A quorum of a role that was split counts the members of all its parts.
func TestSplitRolesKeepTheirMinimum(t *testing.T) {
	f := newFixture(t)
	out := f.place(anywhere(4, 3, withCPU("1"), withCPU("2"), withCPU("3"), withCPU("4")))
	if got := out.Assignment.Short; got["w"] != 3 || len(got) != 1 {
		t.Errorf("the quorum is short of %v, want 3 of role w", got)
	}
	if got := out.Assignment.Roles["uid-train-1"]; got != (gangs.RoleSignature{Role: "w", Signature: 2}) {
		t.Errorf("train-1 is of %v", got)
	}
}

// storage has the storage objects of a test.
type storage struct {
	claims  map[string]*v1.PersistentVolumeClaim
	volumes []*v1.PersistentVolume
	// classes has the provisioner of each class that has one.
	classes     map[string]string
	drivers     map[string]*storagev1.CSINode
	attachments []*storagev1.VolumeAttachment
	// reads counts the calls of Claim.
	reads int
}

func (s *storage) Claim(_, name string) (*v1.PersistentVolumeClaim, error) {
	s.reads++
	if claim := s.claims[name]; claim != nil {
		return claim, nil
	}
	return nil, fmt.Errorf("claim %s does not exist", name)
}

func (s *storage) Volume(name string) (*v1.PersistentVolume, error) {
	for _, v := range s.volumes {
		if v.Name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("volume %s does not exist", name)
}

func (s *storage) Class(name string) (*storagev1.StorageClass, error) {
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	provisioner := staticProvisioner
	if s.classes[name] != "" {
		provisioner = s.classes[name]
	}
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}, nil
}

func (s *storage) Drivers(node string) (*storagev1.CSINode, error) {
	if drivers := s.drivers[node]; drivers != nil {
		return drivers, nil
	}
	return nil, fmt.Errorf("node %s has no drivers", node)
}

func (s *storage) ListAttachments() ([]*storagev1.VolumeAttachment, error) { return s.attachments, nil }

func (s *storage) ListVolumes() ([]*v1.PersistentVolume, error) { return s.volumes, nil }

// local adds a volume on the nodes with a label.
func (s *storage) local(name, label, value string) {
	s.volumes = append(s.volumes, &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PersistentVolumeSpec{
			StorageClassName: "local", AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Capacity: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: label, Operator: v1.NodeSelectorOpIn, Values: []string{value}}},
			}}}},
		},
		Status: v1.PersistentVolumeStatus{Phase: v1.VolumeAvailable},
	})
}

// claim adds a claim, bound to a volume unless that is "".
func (s *storage) claim(name, volume string) {
	class := "local"
	s.claims[name] = &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name},
		Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: volume, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

func withVolumes(claims ...string) func(*v1.Pod) {
	return func(pod *v1.Pod) {
		for _, claim := range claims {
			pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: claim, VolumeSource: v1.VolumeSource{
				PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
			}})
		}
	}
}

func TestMembersGoToTheirVolumes(t *testing.T) {
	small := func(i int) func(*v1.Pod) { return all(withCPU("1"), withVolumes(fmt.Sprint("claim-", i))) }
	for name, tc := range map[string]struct {
		prepare func(*storage)
		request gangs.Request
		want    []string
		refusal string
	}{
		"bound ones": {
			prepare: func(s *storage) {
				s.local("v0", "kubernetes.io/hostname", "l2-b")
				s.local("v1", "kubernetes.io/hostname", "l1-b")
				s.claim("claim-0", "v0")
				s.claim("claim-1", "v1")
			},
			request: anywhere(2, 2, small(0), small(1)),
			want:    []string{"l1-b", "l2-b"},
		},
		"promised ones": {
			prepare: func(s *storage) {
				s.local("v0", "kubernetes.io/hostname", "l2-b")
				s.volumes[0].Spec.ClaimRef = &v1.ObjectReference{Namespace: "ml", Name: "claim-0"}
				s.claim("claim-0", "")
			},
			request: anywhere(1, 1, small(0)),
			want:    []string{"l2-b"},
		},
		"one free volume on each node": {
			prepare: func(s *storage) {
				for i, node := range []string{"l1-b", "l2-a", "l2-b"} {
					s.local("v"+node, "kubernetes.io/hostname", node)
					s.claim(fmt.Sprint("claim-", i), "")
				}
			},
			request: anywhere(3, 3, small(0), small(1), small(2)),
			want:    []string{"l1-b", "l2-a", "l2-b"},
		},
		"too few free volumes": {
			prepare: func(s *storage) {
				s.local("v", "kubernetes.io/hostname", "l2-a")
				s.claim("claim-0", "")
				s.claim("claim-1", "")
			},
			request: anywhere(2, 2, nil, nil),
			refusal: "gang podgroup ml/train: 1 of 2 members fit",
		},
		"two claims in one member": {
			prepare: func(s *storage) {
				s.local("v0", "kubernetes.io/hostname", "l1-a")
				s.local("v1", "kubernetes.io/hostname", "l2-a")
				s.local("v2", "kubernetes.io/hostname", "l2-a")
				s.claim("claim-0", "")
				s.claim("claim-1", "")
			},
			request: anywhere(1, 1, all(withCPU("1"), withVolumes("claim-0", "claim-1"))),
			want:    []string{"l2-a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for _, info := range f.nodes {
				info.Node().Labels[v1.LabelHostname] = info.Node().Name
			}
			s := &storage{claims: map[string]*v1.PersistentVolumeClaim{}}
			tc.prepare(s)
			f.placer.options.Volumes = s
			for i := range tc.request.Members {
				if tc.refusal != "" {
					small(i)(tc.request.Members[i].Pod)
				}
				tc.request.Members[i].Signature = 1 // members differ by their volumes alone
			}
			out := f.place(tc.request)
			if !out.Placed {
				if tc.refusal == "" || !hasPrefix(out.Refusal, tc.refusal) {
					t.Errorf("refused: %q, want %q", out.Refusal, tc.refusal)
				}
				return
			}
			f.checkNodes(out.Assignment.Nodes, tc.want...)
		})
	}
}
