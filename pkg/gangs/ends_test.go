// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// started returns a change to a pod that started that long after the epoch.
func started(after time.Duration) change {
	return func(p *corev1.Pod) {
		bound(p)
		p.Status.StartTime = ptr(metav1.NewTime(epoch.Add(after)))
	}
}

func TestEnds(t *testing.T) {
	asking := annotation(gangs.GangAnnotation, "true")
	of := func(index int, changes ...change) *corev1.Pod { return jobPod(index, append(changes, asking)...) }
	minutes := func(n time.Duration) time.Duration { return n * time.Minute }
	for name, tc := range map[string]struct {
		deadline *int64 // of the Job
		pods     []*corev1.Pod
		want     time.Duration // after the epoch; 0 if unknown
	}{
		"no limit":                     {pods: []*corev1.Pod{of(0, started(minutes(1)))}},
		"nothing has started":          {deadline: ptr[int64](60), pods: []*corev1.Pod{of(0, bound), of(1)}},
		"the Job's, from the first":    {deadline: ptr[int64](60), pods: []*corev1.Pod{of(0, started(minutes(3))), of(1, started(minutes(2))), of(2)}, want: minutes(3)},
		"the pods', each from its own": {pods: []*corev1.Pod{of(0, started(minutes(3)), timeLimit("1m")), of(1, started(minutes(2)), timeLimit("5m"))}, want: minutes(7)},
		"a pod without a limit":        {pods: []*corev1.Pod{of(0, started(minutes(3)), timeLimit("1m")), of(1, started(minutes(2)))}},
		"a pod that has not started":   {pods: []*corev1.Pod{of(0, started(minutes(3)), timeLimit("1m")), of(1, timeLimit("1m"))}},
		"one that has succeeded":       {pods: []*corev1.Pod{of(0, started(minutes(3)), timeLimit("1m")), of(1, started(minutes(2)), succeeded)}, want: minutes(4)},
		"one that has failed":          {deadline: ptr[int64](60), pods: []*corev1.Pod{of(0, started(minutes(3))), of(1, started(minutes(2)), failed)}, want: minutes(4)},
		"the pods end sooner":          {deadline: ptr[int64](600), pods: []*corev1.Pod{of(0, started(minutes(1)), timeLimit("1m"))}, want: minutes(2)},
		"the Job ends sooner":          {deadline: ptr[int64](60), pods: []*corev1.Pod{of(0, started(minutes(1)), timeLimit("9m"))}, want: minutes(2)},
		"a mistake":                    {deadline: ptr[int64](60), pods: []*corev1.Pod{of(0, started(minutes(1)), timeLimit("x"))}},
	} {
		t.Run(name, func(t *testing.T) {
			j := job("a", "uid-of-a", int32(len(tc.pods)), nil)
			j.Spec.ActiveDeadlineSeconds = tc.deadline
			sources, key := objects{jobs: with("a", j)}.sources(), gangs.JobKey("ml", "a")
			members := membersOf(sources, key, tc.pods)
			g, err := sources.Gang(key, members)
			if err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if tc.want > 0 {
				want = epoch.Add(tc.want)
			}
			if got := g.Ends(members); !got.Equal(want) {
				t.Errorf("want %v, got %v", want, got)
			}
		})
	}
}

func TestPodEnds(t *testing.T) {
	if got := gangs.PodEnds(pod("p", started(time.Minute), deadline(60))); !got.Equal(epoch.Add(2 * time.Minute)) {
		t.Errorf("got %v", got)
	}
	if got := gangs.PodEnds(pod("p", deadline(60))); !got.IsZero() {
		t.Errorf("a pod that has not started ends at %v", got)
	}
}
