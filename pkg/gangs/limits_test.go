// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	badLimit  = `which must be a duration above 0 such as 90m or 36h; no time limit is assumed`
	fromLimit = "annotation dovetail.dev/time-limit of "
	fromField = "spec.activeDeadlineSeconds of "
	fromKueue = "label kueue.x-k8s.io/max-exec-time-seconds of "
)

func timeLimit(text string) change   { return annotation(gangs.TimeLimitAnnotation, text) }
func maxExecTime(text string) change { return label(gangs.MaxExecTimeLabel, text) }
func deadline(seconds int64) change {
	return func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &seconds }
}
func checkpoint(text string) change       { return annotation(gangs.CheckpointAnnotation, text) }
func minRuntime(text string) change       { return annotation(gangs.MinRuntimeAnnotation, text) }
func hours(n time.Duration) time.Duration { return n * time.Hour }

func TestPodRunTime(t *testing.T) {
	limit := func(d time.Duration, source string) gangs.RunTime {
		return gangs.RunTime{Limit: gangs.Limit{Duration: d, Source: source}}
	}
	bad := func(sentence string) gangs.RunTime { return gangs.RunTime{Mistake: sentence, LimitInvalid: true} }
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want gangs.RunTime
	}{
		"nothing":                       {pod("p"), gangs.RunTime{}},
		"other metadata":                {pod("p", label("a", "b"), annotation("a", "b")), gangs.RunTime{}},
		"the annotation":                {pod("p", timeLimit("90m")), limit(90*time.Minute, fromLimit+"the pod")},
		"the deadline":                  {pod("p", deadline(60)), limit(time.Minute, fromField+"the pod")},
		"the label":                     {pod("p", maxExecTime("3600")), limit(time.Hour, fromKueue+"the pod")},
		"the annotation is shortest":    {pod("p", timeLimit("1h"), deadline(7200), maxExecTime("7200")), limit(time.Hour, fromLimit+"the pod")},
		"the deadline is shortest":      {pod("p", timeLimit("1h"), deadline(60), maxExecTime("7200")), limit(time.Minute, fromField+"the pod")},
		"the label is shortest":         {pod("p", timeLimit("1h"), deadline(7200), maxExecTime("60")), limit(time.Minute, fromKueue+"the pod")},
		"all equal":                     {pod("p", timeLimit("1m"), deadline(60), maxExecTime("60")), limit(time.Minute, fromLimit+"the pod")},
		"deadline and label equal":      {pod("p", deadline(60), maxExecTime("60")), limit(time.Minute, fromField+"the pod")},
		"a deadline of 0":               {pod("p", deadline(0)), gangs.RunTime{}},
		"a very late deadline":          {pod("p", deadline(1<<62)), limit(9223372036*time.Second, fromField+"the pod")},
		"a very large label":            {pod("p", maxExecTime("9223372036854775807")), limit(9223372036*time.Second, fromKueue+"the pod")},
		"a word":                        {pod("p", timeLimit("long"), deadline(60)), bad(`annotation dovetail.dev/time-limit of the pod is "long", ` + badLimit)},
		"a number":                      {pod("p", timeLimit("3600")), bad(`annotation dovetail.dev/time-limit of the pod is "3600", ` + badLimit)},
		"empty":                         {pod("p", timeLimit("")), bad(`annotation dovetail.dev/time-limit of the pod is "", ` + badLimit)},
		"zero":                          {pod("p", timeLimit("0s")), bad(`annotation dovetail.dev/time-limit of the pod is "0s", ` + badLimit)},
		"negative":                      {pod("p", timeLimit("-1h")), bad(`annotation dovetail.dev/time-limit of the pod is "-1h", ` + badLimit)},
		"longer than a duration can be": {pod("p", timeLimit("9999999h")), bad(`annotation dovetail.dev/time-limit of the pod is "9999999h", ` + badLimit)},
		"a label that is a duration":    {pod("p", timeLimit("1h"), maxExecTime("1h")), bad(`label kueue.x-k8s.io/max-exec-time-seconds of the pod is "1h", which must be a number of seconds from 1; no time limit is assumed`)},
		"a label of 0":                  {pod("p", maxExecTime("0")), bad(`label kueue.x-k8s.io/max-exec-time-seconds of the pod is "0", which must be a number of seconds from 1; no time limit is assumed`)},
		"two mistakes":                  {pod("p", timeLimit("a"), maxExecTime("b")), bad(`annotation dovetail.dev/time-limit of the pod is "a", ` + badLimit)},
		"the others":                    {pod("p", checkpoint("10m"), minRuntime("30m")), gangs.RunTime{Checkpoint: 10 * time.Minute, Minimum: 30 * time.Minute}},
		"a minimum of two days":         {pod("p", minRuntime("48h")), gangs.RunTime{Minimum: hours(24)}},
		"a bad checkpoint leaves the limit": {pod("p", timeLimit("1h"), checkpoint("often")), gangs.RunTime{
			Limit:   gangs.Limit{Duration: time.Hour, Source: fromLimit + "the pod"},
			Mistake: `annotation dovetail.dev/checkpoint of the pod is "often", which must be a duration above 0 such as 90m or 36h`,
		}},
		"a bad minimum": {pod("p", minRuntime("0")), gangs.RunTime{
			Mistake: `annotation dovetail.dev/min-runtime of the pod is "0", which must be a duration above 0 such as 90m or 36h`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, gangs.PodRunTime(tc.pod)); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
			if diff := cmp.Diff(tc.want.Mistake, gangs.MetadataMistake(tc.pod)); diff != "" {
				t.Errorf("mistake (-want,+got)\n%s", diff)
			}
		})
	}
}

// The declaring object speaks for all members, and a pod for itself.
func TestRunTimeOfGang(t *testing.T) {
	asking := annotation(gangs.GangAnnotation, "true")
	limits := func(own ...change) []*corev1.Pod {
		pods := make([]*corev1.Pod, len(own))
		for i := range own {
			pods[i] = jobPod(i, asking, own[i])
		}
		return pods
	}
	none := func(*corev1.Pod) {}
	for name, tc := range map[string]struct {
		annotations, labels map[string]string
		deadline            *int64
		pods                []*corev1.Pod
		want                gangs.RunTime
	}{
		"nothing": {pods: limits(none, none)},
		"the Job's annotation": {
			annotations: map[string]string{gangs.TimeLimitAnnotation: "2h"},
			pods:        limits(none, none),
			want:        gangs.RunTime{Limit: gangs.Limit{Duration: hours(2), Source: fromLimit + "job ml/a"}},
		},
		"the Job's deadline": {
			deadline: ptr[int64](3600),
			pods:     limits(none, none),
			want:     gangs.RunTime{Limit: gangs.Limit{Duration: time.Hour, Source: fromField + "job ml/a"}},
		},
		"the Job's label": {
			labels: map[string]string{gangs.MaxExecTimeLabel: "3600"},
			pods:   limits(none, none),
			want:   gangs.RunTime{Limit: gangs.Limit{Duration: time.Hour, Source: fromKueue + "job ml/a"}},
		},
		"the pods' longest": {
			pods: limits(timeLimit("1h"), deadline(7200)),
			want: gangs.RunTime{Limit: gangs.Limit{Duration: hours(2), Source: fromField + "its pods"}},
		},
		"equal limits of pods": {
			pods: limits(deadline(60), timeLimit("1m")),
			want: gangs.RunTime{Limit: gangs.Limit{Duration: time.Minute, Source: fromLimit + "its pods"}},
		},
		"a pod without a limit": {
			pods: limits(timeLimit("1h"), none),
		},
		"a pod without a limit that has ended": {
			pods: limits(timeLimit("1h"), succeeded, failed, deleted),
			want: gangs.RunTime{Limit: gangs.Limit{Duration: time.Hour, Source: fromLimit + "its pods"}},
		},
		"the pods' limit is shorter": {
			deadline: ptr[int64](3600),
			pods:     limits(timeLimit("1m"), timeLimit("1m")),
			want:     gangs.RunTime{Limit: gangs.Limit{Duration: time.Minute, Source: fromLimit + "its pods"}},
		},
		"the Job's limit is as short": {
			deadline: ptr[int64](60),
			pods:     limits(timeLimit("1m"), timeLimit("1m")),
			want:     gangs.RunTime{Limit: gangs.Limit{Duration: time.Minute, Source: fromField + "job ml/a"}},
		},
		"a mistake on the Job": {
			annotations: map[string]string{gangs.TimeLimitAnnotation: "2 hours"},
			deadline:    ptr[int64](3600),
			pods:        limits(timeLimit("1m"), timeLimit("1m")),
			want: gangs.RunTime{
				Mistake:      `annotation dovetail.dev/time-limit of job ml/a is "2 hours", ` + badLimit,
				LimitInvalid: true,
			},
		},
		"a mistake on a pod, where it is reported": {
			deadline: ptr[int64](3600),
			pods:     limits(timeLimit("1m"), timeLimit("soon")),
			want:     gangs.RunTime{LimitInvalid: true},
		},
		"checkpoints and minimums": {
			annotations: map[string]string{gangs.MinRuntimeAnnotation: "1h"},
			pods:        limits(checkpoint("5m"), checkpoint("10m")),
			want:        gangs.RunTime{Checkpoint: 10 * time.Minute, Minimum: time.Hour},
		},
		"a checkpoint of the Job, and a longer minimum of a pod": {
			annotations: map[string]string{gangs.MinRuntimeAnnotation: "1h", gangs.CheckpointAnnotation: "1m"},
			pods:        limits(checkpoint("5m"), minRuntime("2h")),
			want:        gangs.RunTime{Checkpoint: time.Minute, Minimum: hours(2)},
		},
		"a pod without a checkpoint": {
			pods: limits(checkpoint("5m"), none),
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := job("a", "uid-of-a", int32(len(tc.pods)), nil)
			j.Annotations, j.Labels, j.Spec.ActiveDeadlineSeconds = tc.annotations, tc.labels, tc.deadline
			sources, key := objects{jobs: with("a", j)}.sources(), gangs.JobKey("ml", "a")
			for _, reverse := range []bool{false, true} {
				members := membersOf(sources, key, tc.pods)
				if reverse {
					slices.Reverse(members)
				}
				g, err := sources.Gang(key, members)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, g.RunTimeWith(members)); diff != "" {
					t.Errorf("reversed %v (-want,+got)\n%s", reverse, diff)
				}
				if diff := cmp.Diff(tc.want.Mistake, g.MetadataMistake()); diff != "" {
					t.Errorf("mistake (-want,+got)\n%s", diff)
				}
			}
		})
	}
}

// Every source reads the annotation from the object that declares the gang.
func TestTimeLimitOfEverySource(t *testing.T) {
	annotated := map[string]string{gangs.TimeLimitAnnotation: "2h"}
	annotate := func(meta *metav1.ObjectMeta) { meta.Annotations = annotated }
	group, kubernetes, volcano := podGroup(1), kubernetesGroup(1), volcanoGroup(1, nil)
	cluster, set, lws := rayCluster(workers("w", 1)), jobSet(replicated("w", 1, 1)), &gangs.LeaderWorkerSet{ObjectMeta: meta("a")}
	for _, m := range []*metav1.ObjectMeta{&group.ObjectMeta, &kubernetes.ObjectMeta, &volcano.ObjectMeta, &cluster.ObjectMeta, &set.ObjectMeta, &lws.ObjectMeta} {
		annotate(m)
	}
	all := objects{
		groups: with("a", group), kubernetes: with("a", kubernetes), volcanos: with("a", volcano),
		clusters: with("a", cluster), jobSets: with("a", set), lws: with("a", lws),
	}
	sources := all.sources()
	for _, tc := range []struct {
		key  gangs.Key
		pods []*corev1.Pod
	}{
		{gangs.CoschedulingKey("ml", "a"), nil},
		{gangs.PodGroupKey("ml", "a"), nil},
		{gangs.VolcanoKey("ml", "a"), nil},
		{gangs.RayClusterKey("ml", "a"), nil},
		{gangs.JobSetKey("ml", "a"), nil},
		{gangs.LeaderWorkerSetKey("ml", "a-0"), []*corev1.Pod{pod("a-0", label("leaderworkerset.sigs.k8s.io/name", "a"),
			label("leaderworkerset.sigs.k8s.io/group-index", "0"), label("leaderworkerset.sigs.k8s.io/worker-index", "0"),
			annotation("leaderworkerset.sigs.k8s.io/size", "1"))}},
	} {
		g, err := sources.Gang(tc.key, membersOf(sources, tc.key, tc.pods))
		if err != nil {
			t.Fatal(err)
		}
		want := gangs.Limit{Duration: hours(2), Source: fromLimit + tc.key.String()}
		if diff := cmp.Diff(want, g.RunTime.Limit); diff != "" {
			t.Errorf("%s (-want,+got)\n%s", tc.key, diff)
		}
	}
	own := gangs.PodGroupGang(kubernetes, nil).RunTime.Limit
	if diff := cmp.Diff(gangs.Limit{Duration: hours(2), Source: fromLimit + "schedulinggroup ml/a"}, own); diff != "" {
		t.Errorf("the PodGroup cycle (-want,+got)\n%s", diff)
	}
}

// A JobSet has ended when all its Jobs have, and only if none of them waits for another.
func TestDeadlineOfJobSet(t *testing.T) {
	within := func(seconds int64, job gangs.ReplicatedJob) gangs.ReplicatedJob {
		job.Template.Spec.ActiveDeadlineSeconds = &seconds
		return job
	}
	const source = "spec.replicatedJobs[].template.spec.activeDeadlineSeconds of jobset ml/a"
	for name, tc := range map[string]struct {
		set  *gangs.JobSet
		want gangs.Limit
	}{
		"of one":                   {jobSet(within(60, replicated("w", 2, 1))), gangs.Limit{Duration: time.Minute, Source: source}},
		"of all":                   {jobSet(within(60, replicated("w", 2, 1)), within(90, replicated("x", 1, 1))), gangs.Limit{Duration: 90 * time.Second, Source: source}},
		"of some":                  {jobSet(within(60, replicated("w", 2, 1)), replicated("x", 1, 1)), gangs.Limit{}},
		"one after another":        {jobSet(within(60, replicated("w", 2, 1)), within(90, replicated("x", 1, 1, "w"))), gangs.Limit{}},
		"in the order of the list": {inOrder(jobSet(within(60, replicated("w", 2, 1)), within(90, replicated("x", 1, 1)))), gangs.Limit{}},
		"after an initialiser":     {jobSet(replicated("dataset-initializer", 1, 1), within(90, replicated("x", 1, 1, "dataset-initializer"))), gangs.Limit{Duration: 90 * time.Second, Source: source}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := objects{jobSets: with("a", tc.set)}.sources().Gang(gangs.JobSetKey("ml", "a"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, g.RunTime.Limit); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
		})
	}
}

// A RayJob ends its RayCluster if it shuts the cluster down.
func TestDeadlineOfRayJob(t *testing.T) {
	const train = "rayjob ml/train"
	cluster := rayCluster(workers("w", 1))
	cluster.OwnerReferences = []metav1.OwnerReference{{APIVersion: "ray.io/v1", Kind: "RayJob", Name: "train", UID: "uid-of-train", Controller: ptr(true)}}
	for name, tc := range map[string]struct {
		change func(*rayv1.RayJob)
		want   gangs.RunTime
	}{
		"a deadline": {
			func(j *rayv1.RayJob) {},
			gangs.RunTime{Limit: gangs.Limit{Duration: 90 * time.Second, Source: fromField + train}},
		},
		"the pods stay": {
			func(j *rayv1.RayJob) { j.Spec.ShutdownAfterJobFinishes = false },
			gangs.RunTime{},
		},
		"no deadline": {
			func(j *rayv1.RayJob) { j.Spec.ActiveDeadlineSeconds = nil },
			gangs.RunTime{},
		},
		"an annotation that the RayCluster has not": {
			func(j *rayv1.RayJob) { j.Annotations = map[string]string{gangs.TimeLimitAnnotation: "1m"} },
			gangs.RunTime{Limit: gangs.Limit{Duration: time.Minute, Source: fromLimit + train}},
		},
		"a mistake": {
			func(j *rayv1.RayJob) { j.Annotations = map[string]string{gangs.TimeLimitAnnotation: "1"} },
			gangs.RunTime{Mistake: `annotation dovetail.dev/time-limit of rayjob ml/train is "1", ` + badLimit, LimitInvalid: true},
		},
		"another RayJob of the same name": {
			func(j *rayv1.RayJob) { j.UID = "uid-of-another" },
			gangs.RunTime{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := &rayv1.RayJob{ObjectMeta: meta("train"), Spec: rayv1.RayJobSpec{
				ActiveDeadlineSeconds: ptr[int32](60), ShutdownAfterJobFinishes: true, TTLSecondsAfterFinished: 30,
			}}
			tc.change(job)
			o := clusterOnly(cluster)
			for _, rayJobs := range []map[string]*rayv1.RayJob{with("train", job), nil} {
				o.rayJobs = rayJobs
				g, err := o.sources().Gang(rayKey, nil)
				if err != nil {
					t.Fatal(err)
				}
				want := tc.want
				if rayJobs == nil {
					want = gangs.RunTime{}
				}
				if diff := cmp.Diff(want, g.RunTime); diff != "" {
					t.Errorf("(-want,+got)\n%s", diff)
				}
			}
		})
	}
	if key, ok := gangs.RayJobOf(cluster); !ok || key != gangs.RayJobKey("ml", "train") {
		t.Errorf("the RayCluster is read from %v", key)
	}
	if key, ok := gangs.RayJobOf(rayCluster()); ok {
		t.Errorf("a RayCluster without owner is read from %v", key)
	}
}
