// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var rayKey = gangs.RayClusterKey("ml", "a")

// group returns a worker group with the change applied.
func group(g rayv1.WorkerGroupSpec, change func(*rayv1.WorkerGroupSpec)) rayv1.WorkerGroupSpec {
	change(&g)
	return g
}

func autoscaled(c *rayv1.RayCluster) *rayv1.RayCluster {
	c.Spec.EnableInTreeAutoscaling = ptr(true)
	return c
}

func TestRolesOfRayCluster(t *testing.T) {
	headRole := gangs.Role{Name: "headgroup", Min: 1, Want: 1}
	tests := map[string]struct {
		cluster *rayv1.RayCluster
		want    []gangs.Role
	}{
		"a head alone is a gang of one": {
			cluster: rayCluster(),
			want:    []gangs.Role{headRole},
		},
		"every worker group is a role, and roles come by name": {
			cluster: rayCluster(workers("gpu", 4), workers("cpu", 2)),
			want:    []gangs.Role{{Name: "cpu", Min: 2, Want: 2}, {Name: "gpu", Min: 4, Want: 4}, headRole},
		},
		"numOfHosts multiplies replicas": {
			cluster: rayCluster(group(workers("w", 3), func(g *rayv1.WorkerGroupSpec) { g.NumOfHosts = 4 })),
			want:    []gangs.Role{headRole, {Name: "w", Min: 12, Want: 12, Step: 4}},
		},
		"numOfHosts that an older CRD dropped counts as one": {
			cluster: rayCluster(group(workers("w", 3), func(g *rayv1.WorkerGroupSpec) { g.NumOfHosts = 0 })),
			want:    []gangs.Role{headRole, {Name: "w", Min: 3, Want: 3}},
		},
		"a suspended group is left out": {
			cluster: rayCluster(workers("cpu", 2), group(workers("gpu", 4), func(g *rayv1.WorkerGroupSpec) { g.Suspend = ptr(true) })),
			want:    []gangs.Role{{Name: "cpu", Min: 2, Want: 2}, headRole},
		},
		"replicas unset are minReplicas": {
			cluster: rayCluster(group(workers("w", 0), func(g *rayv1.WorkerGroupSpec) { g.Replicas, g.MinReplicas = nil, ptr[int32](2) })),
			want:    []gangs.Role{headRole, {Name: "w", Min: 2, Want: 2}},
		},
		"replicas below minReplicas are raised": {
			cluster: rayCluster(group(workers("w", 1), func(g *rayv1.WorkerGroupSpec) { g.MinReplicas = ptr[int32](3) })),
			want:    []gangs.Role{headRole, {Name: "w", Min: 3, Want: 3}},
		},
		"replicas above maxReplicas are cut": {
			cluster: rayCluster(group(workers("w", 9), func(g *rayv1.WorkerGroupSpec) { g.MaxReplicas = ptr[int32](4) })),
			want:    []gangs.Role{headRole, {Name: "w", Min: 4, Want: 4}},
		},
		"minReplicas above maxReplicas give maxReplicas, as KubeRay creates": {
			cluster: rayCluster(group(workers("w", 4), func(g *rayv1.WorkerGroupSpec) { g.MinReplicas, g.MaxReplicas = ptr[int32](6), ptr[int32](2) })),
			want:    []gangs.Role{headRole, {Name: "w", Min: 2, Want: 2}},
		},
		"no number at all is an empty group": {
			cluster: rayCluster(rayv1.WorkerGroupSpec{GroupName: "w"}),
			want:    []gangs.Role{headRole, {Name: "w"}},
		},
		"with autoscaling only minReplicas are the quorum": {
			cluster: autoscaled(rayCluster(group(workers("w", 5), func(g *rayv1.WorkerGroupSpec) { g.MinReplicas = ptr[int32](2) }))),
			want:    []gangs.Role{headRole, {Name: "w", Min: 2, Want: 5}},
		},
		"with autoscaling and no minReplicas the head is the quorum": {
			cluster: autoscaled(rayCluster(workers("w", 5))),
			want:    []gangs.Role{headRole, {Name: "w", Min: 0, Want: 5}},
		},
		"with autoscaling numOfHosts multiplies the floor too": {
			cluster: autoscaled(rayCluster(group(workers("w", 3), func(g *rayv1.WorkerGroupSpec) { g.MinReplicas, g.NumOfHosts = ptr[int32](2), 4 }))),
			want:    []gangs.Role{headRole, {Name: "w", Min: 8, Want: 12, Step: 4}},
		},
		"with autoscaling the floor is never more than KubeRay creates": {
			cluster: autoscaled(rayCluster(group(workers("w", 4), func(g *rayv1.WorkerGroupSpec) { g.MinReplicas, g.MaxReplicas = ptr[int32](6), ptr[int32](2) }))),
			want:    []gangs.Role{headRole, {Name: "w", Min: 2, Want: 2}},
		},
		"the largest numbers of the API do not overflow": {
			cluster: rayCluster(group(workers("w", math.MaxInt32), func(g *rayv1.WorkerGroupSpec) { g.NumOfHosts = math.MaxInt32 })),
			want:    []gangs.Role{headRole, {Name: "w", Min: math.MaxInt32, Want: math.MaxInt32, Step: math.MaxInt32}},
		},
		"negative replicas are none": {
			cluster: rayCluster(group(workers("w", -3), func(g *rayv1.WorkerGroupSpec) { g.MinReplicas = ptr[int32](-5) })),
			want:    []gangs.Role{headRole, {Name: "w"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := clusterOnly(tc.cluster).sources().Gang(rayKey, nil)
			if err != nil {
				t.Fatalf("Gang: %v", err)
			}
			if diff := cmp.Diff(tc.want, got.Roles); diff != "" {
				t.Errorf("roles (-want,+got):\n%s", diff)
			}
			if got.Problem != "" {
				t.Errorf("problem: %s", got.Problem)
			}
			sum := 0
			for _, r := range tc.want {
				sum += r.Min
			}
			if got.Min != sum {
				t.Errorf("min: want the roles' sum %d, got %d", sum, got.Min)
			}
		})
	}
}

func TestGangOfRayCluster(t *testing.T) {
	cluster := rayCluster(workers("w", 2))
	cluster.Annotations = map[string]string{gangs.RequiredAnnotation: "leaf", gangs.PreferredAnnotation: "rack"}
	got, err := clusterOnly(cluster).sources().Gang(rayKey, nil)
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	want := gangs.Gang{
		Key:      rayKey,
		UID:      clusterUID,
		Min:      3,
		Roles:    []gangs.Role{{Name: "headgroup", Min: 1, Want: 1}, {Name: "w", Min: 2, Want: 2}},
		Topology: gangs.Topology{Required: "leaf", Preferred: "rack"},
		Owner:    corev1.ObjectReference{APIVersion: "ray.io/v1", Kind: "RayCluster", Namespace: "ml", Name: "a", UID: clusterUID},
		Created:  epoch,
		Controls: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gang (-want,+got):\n%s", diff)
	}
	if s := got.Key.String(); s != "raycluster ml/a" {
		t.Errorf("key reads %q", s)
	}
}

func TestProblemsOfRayCluster(t *testing.T) {
	tests := map[string]struct {
		change func(*rayv1.RayCluster)
		want   string
	}{
		"a suspended cluster is no gang to place": {
			change: func(c *rayv1.RayCluster) { c.Spec.Suspend = ptr(true) },
			want:   "raycluster ml/a is suspended: spec.suspend is true",
		},
		"a cluster that is being deleted gets no more pods": {
			change: func(c *rayv1.RayCluster) { c.DeletionTimestamp = ptr(metav1.NewTime(epoch)) },
			want:   "raycluster ml/a is being deleted",
		},
		"two groups of one name": {
			change: func(c *rayv1.RayCluster) {
				c.Spec.WorkerGroupSpecs = append(c.Spec.WorkerGroupSpecs, workers("w", 1))
			},
			want: `spec.workerGroupSpecs[1].groupName of raycluster ml/a is "w", which is taken`,
		},
		"a worker group that is called like the head's": {
			change: func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[0].GroupName = "headgroup" },
			want:   `spec.workerGroupSpecs[0].groupName of raycluster ml/a is "headgroup", which is taken`,
		},
		"a group without a name": {
			change: func(c *rayv1.RayCluster) { c.Spec.WorkerGroupSpecs[0].GroupName = "" },
			want:   "spec.workerGroupSpecs[0].groupName of raycluster ml/a is empty",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := rayCluster(workers("w", 2))
			tc.change(cluster)
			got, err := clusterOnly(cluster).sources().Gang(rayKey, nil)
			if err != nil {
				t.Fatalf("Gang: %v", err)
			}
			if diff := cmp.Diff(tc.want, got.Problem); diff != "" {
				t.Errorf("problem (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestRankOfRayPods(t *testing.T) {
	sources := objects{}.sources()
	replica := func(replica, host string) gangs.Rank {
		p := worker("w", "w", label("ray.io/worker-group-replica-index", replica), label("ray.io/replica-host-index", host))
		m, _ := sources.Member(p)
		return m.Rank
	}
	ordered := []gangs.Rank{replica("0", "0"), replica("0", "1"), replica("1", "0"), replica("10", "0")}
	for i, r := range ordered {
		if !r.Known {
			t.Fatalf("rank %d is not known", i)
		}
		if i > 0 && r.Index <= ordered[i-1].Index {
			t.Errorf("rank %d is %d, not behind %d", i, r.Index, ordered[i-1].Index)
		}
	}
	if m, _ := sources.Member(worker("w", "w")); m.Rank.Known {
		t.Errorf("a worker without index labels has rank %v", m.Rank)
	}
	if r := replica("-1", "x"); r.Known {
		t.Errorf("labels that are no index give rank %v", r)
	}
}
