// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func TestWhichGangAPodIsIn(t *testing.T) {
	type answer struct {
		Key  gangs.Key
		Role string
	}
	ray := func(role string) *answer { return &answer{Key: rayKey, Role: role} }
	tests := map[string]struct {
		pod  *corev1.Pod
		want *answer
	}{
		"a plain pod is in none": {
			pod: pod("p"),
		},
		"a Ray head": {
			pod:  head("h"),
			want: ray("headgroup"),
		},
		"a Ray worker": {
			pod:  worker("w", "gpu"),
			want: ray("gpu"),
		},
		"a Ray worker under a later API version": {
			pod:  worker("w", "gpu", controlledBy("ray.io/v2", "RayCluster", "a", clusterUID)),
			want: ray("gpu"),
		},
		"a redis-cleanup pod comes when the gang is gone": {
			pod: pod("r", controlledBy("batch/v1", "Job", "a-redis-cleanup", "j"), nodeType("redis-cleanup"), label("ray.io/cluster", "a")),
		},
		"a redis-cleanup pod, were the RayCluster its controller": {
			pod: pod("r", ofCluster, nodeType("redis-cleanup")),
		},
		"a RayJob's submitter comes when the gang runs": {
			pod: pod("s", controlledBy("batch/v1", "Job", "rayjob", "j")),
		},
		"Ray labels without a RayCluster as controller prove nothing": {
			pod: pod("p", nodeType("worker"), label("ray.io/cluster", "a"), label("ray.io/group", "gpu")),
		},
		"a RayCluster of somebody else's API group": {
			pod: pod("p", controlledBy("example.com/v1", "RayCluster", "a", "u"), nodeType("worker")),
		},
		"the head of a RayCluster in KubeRay's scheduler-plugins mode, whose PodGroup goes stale": {
			pod:  head("h", inGroup("a")),
			want: ray("headgroup"),
		},
		"a worker of a RayCluster in KubeRay's scheduler-plugins mode": {
			pod:  worker("w", "gpu", inGroup("a")),
			want: ray("gpu"),
		},
		"a Ray worker that its user put into another PodGroup": {
			pod:  worker("w", "gpu", inGroup("mine")),
			want: &answer{Key: gangs.CoschedulingKey("ml", "mine"), Role: "gpu"},
		},
		"a pod with an empty PodGroup label": {
			pod: pod("p", inGroup("")),
		},
	}
	sources := objects{jobs: map[string]*batchv1.Job{"ml/rayjob": job("rayjob", "j", 1, nil)}}.sources()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got *answer
			m, ok := sources.Member(tc.pod)
			if ok {
				got = &answer{Key: m.Key, Role: m.Role}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("member (-want,+got):\n%s", diff)
			}
			if key, keyOK := sources.Key(tc.pod); key != m.Key || keyOK != ok {
				t.Errorf("Key gives %v %v, Member gives %v %v", key, keyOK, m.Key, ok)
			}
		})
	}
}

func TestKeyAllocatesNothing(t *testing.T) {
	sources := objects{}.sources()
	for _, p := range []*corev1.Pod{pod("p"), head("h"), worker("w", "gpu", inGroup("a")), pod("g", inGroup("a")), lwsPod(1), jobSetPod("j", 0, 0)} {
		if n := testing.AllocsPerRun(100, func() { sources.Key(p) }); n != 0 {
			t.Errorf("pod %s: %v allocations", p.Name, n)
		}
	}
}

func TestWhyThereIsNoGang(t *testing.T) {
	failing := func(reason error, detail string) objects {
		return objects{failure: func(key gangs.Key) error {
			return &gangs.LookupError{Key: key, Reason: reason, Detail: detail}
		}}
	}
	tests := map[string]struct {
		objects objects
		reason  error
		want    string
	}{
		"the object does not exist yet": {
			objects: objects{},
			reason:  gangs.ErrNotFound,
			want:    "podgroup ml/a does not exist",
		},
		"its kind is not installed": {
			objects: failing(gangs.ErrNotInstalled, "CustomResourceDefinition podgroups.scheduling.x-k8s.io"),
			reason:  gangs.ErrNotInstalled,
			want:    "podgroup ml/a cannot exist: CustomResourceDefinition podgroups.scheduling.x-k8s.io is not installed",
		},
		"its kind cannot be read": {
			objects: failing(gangs.ErrNotRead, "podgroups is forbidden"),
			reason:  gangs.ErrNotRead,
			want:    "podgroup ml/a could not be read so far: podgroups is forbidden",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tc.objects.sources().Gang(gangs.CoschedulingKey("ml", "a"), nil)
			if !errors.Is(err, tc.reason) {
				t.Fatalf("error is %v, not %v", err, tc.reason)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("sentence (-want,+got):\n%s", diff)
			}
		})
	}
	if _, err := (objects{}).sources().Gang(gangs.Key{Source: "nobody", Namespace: "ml", Name: "a"}, nil); err == nil {
		t.Error("a key of no source is answered")
	}
}

func TestMalformedObjectIsAGangWithAProblem(t *testing.T) {
	owner := corev1.ObjectReference{APIVersion: "ray.io/v1", Kind: "RayCluster", Namespace: "ml", Name: "a", UID: clusterUID}
	o := objects{failure: func(key gangs.Key) error {
		return &gangs.MalformedError{Key: key, Owner: owner, Created: epoch, Detail: "field spec.suspend holds a string where bool is wanted"}
	}}
	got, err := o.sources().Gang(rayKey, nil)
	if err != nil {
		t.Fatalf("Gang: %v", err)
	}
	want := gangs.Gang{
		Key: rayKey, UID: clusterUID, Owner: owner, Created: epoch,
		Problem: "raycluster ml/a is malformed: field spec.suspend holds a string where bool is wanted",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gang (-want,+got):\n%s", diff)
	}
}
