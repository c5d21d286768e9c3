// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// BenchmarkPlace plans a gang of two roles and 500 members on 5,000 nodes, with the stock
// filters and a warm cache. What members ask of one another decides whether the plan is
// proved with all members placed.
func BenchmarkPlace(b *testing.B) {
	schedulermetrics.Register()
	for _, c := range []struct {
		name    string
		prepare func(*v1.Pod)
	}{
		{"nothing", func(*v1.Pod) {}},
		{"host-port", onHostPort},
		{"host-port-and-anti-affinity", func(pod *v1.Pod) {
			onHostPort(pod)
			affinityOf(pod).PodAntiAffinity = &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey:   v1.LabelHostname,
				LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: roleLabel, Operator: metav1.LabelSelectorOpExists}}},
			}}}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(5000, 500)
			w.roles(1, 499)
			for _, pod := range w.members {
				c.prepare(pod)
			}
			benchmarkPlace(b, w)
		})
	}
}

func onHostPort(pod *v1.Pod) {
	pod.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 7000}}
}

func benchmarkPlace(b *testing.B, w *world) {
	s, err := newStockFilters(b.Context(), w)
	if err != nil {
		b.Fatal(err)
	}
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "zone", NodeLabel: zoneKey}})
	placer := placement.New(s, profile, placement.Options{SearchBudget: 1 << 18, Volumes: s.storage()})
	request, infos := w.request(), s.infos()
	b.ReportAllocs()
	for b.Loop() {
		out, err := placer.Place(s.ctx, request, infos)
		if err != nil || !out.Placed || len(out.Assignment.Nodes) != len(w.members) {
			b.Fatalf("placed %v: %s, %v", out.Placed, out.Refusal, err)
		}
	}
}

// request returns the request for the world's gang, none of whose members has a node.
func (w *world) request() gangs.Request {
	request := gangs.Request{Gang: w.gang, Placed: map[types.UID]string{}, Done: map[string]int{}}
	for _, pod := range w.members {
		request.Members = append(request.Members, gangs.Member{Pod: pod, Key: w.gang.Key, Role: roleOf(pod), Signature: gangs.SignatureOf(pod)})
	}
	return request
}
