// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var groupKey = gangs.CoschedulingKey("ml", "a")

func requests(name corev1.ResourceName, quantity string) change {
	return func(p *corev1.Pod) {
		p.Spec.Containers = []corev1.Container{{
			Name:      "main",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{name: resource.MustParse(quantity)}},
		}}
	}
}

func TestGangOfPodGroup(t *testing.T) {
	g := podGroup(3)
	g.Annotations = map[string]string{gangs.PreferredAnnotation: "leaf"}
	sources := groupOnly(g).sources()
	members := membersOf(sources, groupKey, manyInGroup(3))
	got, err := sources.Gang(groupKey, members)
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	want := gangs.Gang{
		Key:      groupKey,
		UID:      "uid-of-group",
		Min:      3,
		MinField: "spec.minMember",
		Roles:    []gangs.Role{{Name: members[0].Role, Min: 3, Want: 3}},
		Topology: gangs.Topology{Preferred: "leaf"},
		Owner:    corev1.ObjectReference{APIVersion: "scheduling.x-k8s.io/v1alpha1", Kind: "PodGroup", Namespace: "ml", Name: "a", UID: "uid-of-group"},
		Created:  epoch,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gang (-want,+got):\n%s", diff)
	}
}

func TestProblemsOfPodGroup(t *testing.T) {
	tests := map[string]struct {
		change func(*schedv1alpha1.PodGroup)
		want   string
	}{
		"minMember that was never written": {
			change: func(g *schedv1alpha1.PodGroup) { g.Spec.MinMember = 0 },
			want:   "spec.minMember of podgroup ml/a is 0, but must be at least 1",
		},
		"a PodGroup that is being deleted": {
			change: func(g *schedv1alpha1.PodGroup) { g.DeletionTimestamp = ptr(metav1.NewTime(epoch)) },
			want:   "podgroup ml/a is being deleted",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := podGroup(3)
			tc.change(g)
			got, err := groupOnly(g).sources().Gang(groupKey, nil)
			if err != nil {
				t.Fatalf("Gang: %v", err)
			}
			if diff := cmp.Diff(tc.want, got.Problem); diff != "" {
				t.Errorf("problem (-want,+got):\n%s", diff)
			}
		})
	}
}

// part gives the pod a named role, for readable tests.
func part(name string) change { return label("training.kubeflow.org/replica-type", name) }

func created(after time.Duration) change {
	return func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(epoch.Add(after)) }
}

func TestWhichMembersAreTheQuorum(t *testing.T) {
	tests := map[string]struct {
		pods []*corev1.Pod
		want map[string]int // members of the quorum, by part
	}{
		"placed ones first, however young": {
			pods: []*corev1.Pod{
				pod("a", inGroup("a"), part("old")),
				pod("b", inGroup("a"), part("old")),
				pod("c", inGroup("a"), part("new"), created(time.Hour), bound),
			},
			want: map[string]int{"new": 1, "old": 1},
		},
		"succeeded ones are placed": {
			pods: []*corev1.Pod{
				pod("a", inGroup("a"), part("old")),
				pod("b", inGroup("a"), part("new"), created(time.Hour), succeeded),
				pod("c", inGroup("a"), part("new"), created(time.Hour), succeeded),
			},
			want: map[string]int{"new": 2, "old": 0},
		},
		"then those that could be placed now": {
			pods: []*corev1.Pod{
				pod("a", inGroup("a"), part("gated"), gated),
				pod("b", inGroup("a"), part("ready"), created(time.Hour)),
				pod("c", inGroup("a"), part("ready"), created(time.Hour)),
			},
			want: map[string]int{"gated": 0, "ready": 2},
		},
		"then by rank": {
			pods: []*corev1.Pod{
				pod("a", inGroup("a"), part("last"), label("training.kubeflow.org/replica-index", "10")),
				pod("b", inGroup("a"), part("first"), label("training.kubeflow.org/replica-index", "0")),
				pod("c", inGroup("a"), part("first"), label("training.kubeflow.org/replica-index", "2")),
			},
			want: map[string]int{"first": 2, "last": 0},
		},
		"then by age": {
			pods: []*corev1.Pod{
				pod("a", inGroup("a"), part("young"), created(time.Second)),
				pod("b", inGroup("a"), part("old")),
				pod("c", inGroup("a"), part("old")),
			},
			want: map[string]int{"old": 2, "young": 0},
		},
		"failed ones and those being deleted are not there": {
			pods: []*corev1.Pod{
				pod("a", inGroup("a"), part("gone"), failed),
				pod("b", inGroup("a"), part("gone"), bound, deleted),
				pod("c", inGroup("a"), part("new"), created(time.Hour)),
			},
			want: map[string]int{"new": 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := groupOnly(podGroup(2)).sources()
			g, err := sources.Gang(groupKey, membersOf(sources, groupKey, tc.pods))
			if err != nil {
				t.Fatalf("Gang: %v", err)
			}
			got := map[string]int{}
			for _, r := range g.Roles {
				name, _, _ := strings.Cut(r.Name, "-")
				got[name] += r.Min
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("quorum (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestShapeMakesTheRole(t *testing.T) {
	base := []change{inGroup("a"), requests("nvidia.com/gpu", "8")}
	same := map[string]change{
		"its name":                            func(p *corev1.Pod) { p.Name = "other" },
		"its index":                           label("batch.kubernetes.io/job-completion-index", "3"),
		"an equal quantity written otherwise": requests("nvidia.com/gpu", "8000m"),
		"its image":                           func(p *corev1.Pod) { p.Spec.Containers[0].Image = "other" },
		"its node":                            bound,
		"an init container that asks for no more": func(p *corev1.Pod) { p.Spec.InitContainers = p.Spec.Containers },
	}
	other := map[string]change{
		"its requests":      requests("nvidia.com/gpu", "4"),
		"its node selector": func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"zone": "1"} },
		"its affinity":      func(p *corev1.Pod) { p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}} },
		"its tolerations":   func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Key: "gpu"}} },
		"the template of a claim": func(p *corev1.Pod) {
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpus", ResourceClaimTemplateName: ptr("eight")}}
		},
		"its overhead": func(p *corev1.Pod) { p.Spec.Overhead = corev1.ResourceList{"cpu": resource.MustParse("1")} },
		"a larger init container": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{*p.Spec.Containers[0].DeepCopy()}
			p.Spec.InitContainers[0].Resources.Requests["nvidia.com/gpu"] = resource.MustParse("16")
		},
		"a host port": func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} },
		"its spread": func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1}}
		},
		"pod-level requests": func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}}
		},
		"its part in a job": part("master"),
	}
	sources := objects{}.sources()
	role := func(changes ...change) string {
		m, ok := sources.Member(pod("p", append(base, changes...)...))
		if !ok {
			t.Fatal("the pod is in no gang")
		}
		return m.Role
	}
	for what, change := range same {
		if got, want := role(change), role(); got != want {
			t.Errorf("%s makes another role: %s, not %s", what, got, want)
		}
	}
	for what, change := range other {
		if role(change) == role() {
			t.Errorf("%s makes no other role", what)
		}
	}
}

// KubeRay never updates its PodGroup; the RayCluster was resized from 8 workers to 2 since.
func TestTrapKubeRayStalePodGroup(t *testing.T) {
	g := podGroup(9)
	g.Annotations = map[string]string{gangs.RequiredAnnotation: "leaf"}
	cluster := rayCluster(workers("w", 2))
	setUp := func(groupName string) (gangs.Sources, []*corev1.Pod) {
		g := g.DeepCopy()
		g.Name = groupName
		g.OwnerReferences = []metav1.OwnerReference{{APIVersion: "ray.io/v1", Kind: "RayCluster", Name: "a", UID: clusterUID}}
		o := objects{
			clusters: map[string]*rayv1.RayCluster{"ml/a": cluster},
			groups:   map[string]*schedv1alpha1.PodGroup{"ml/" + groupName: g},
		}
		pods := append(manyWorkers("w", 2, inGroup(groupName)), head("h", inGroup(groupName)))
		return o.sources(), pods
	}
	tests := map[string]struct {
		group string
		want  gangs.Topology
	}{
		"named like the RayCluster, as KubeRay does": {group: "a"},
		"of another name": {group: "b", want: gangs.Topology{Required: "leaf"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources, pods := setUp(tc.group)
			m, ok := sources.Member(pods[0])
			if !ok {
				t.Fatal("the worker is in no gang")
			}
			members := membersOf(sources, m.Key, pods)
			got, err := sources.Gang(m.Key, members)
			if err != nil {
				t.Fatalf("Gang: %v", err)
			}
			want := []gangs.Role{{Name: "headgroup", Min: 1, Want: 1}, {Name: "w", Min: 2, Want: 2}}
			if diff := cmp.Diff(want, got.Roles); diff != "" {
				t.Errorf("roles (-want,+got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, got.Topology); diff != "" {
				t.Errorf("topology (-want,+got):\n%s", diff)
			}
			if got.Owner.Kind != "RayCluster" {
				t.Errorf("events go to the %s", got.Owner.Kind)
			}
			if v := gangs.Check(got, members); !v.Complete() {
				t.Errorf("the gang is not whole: %+v", v)
			}
		})
	}
}
