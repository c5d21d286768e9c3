// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Job of TestLife ends a moment after its placement, because KWOK completes the pods of
// Jobs at once. The test therefore replaces a Job instead of killing its pods. For killed
// pods, the Job controller would wait longer and longer before it creates replacements.

func (g *lifeGang) jobName() string { return fmt.Sprintf("%s-%d", g.name, g.made) }

// remake replaces the gang's Job, or creates the first.
func (l *life) remake(g *lifeGang) {
	l.Helper()
	if g.made > 0 {
		l.remove(batchv1.SchemeGroupVersion.WithResource("jobs"), g.jobName())
	}
	g.made++
	g.selector = batchv1.JobNameLabel + "=" + g.jobName()
	annotations := map[string]string{}
	if g.leaf {
		annotations[levelRequired] = "leaf"
	}
	spec := newPod("", asking(strconv.Itoa(lifeCPU), "1Gi")).Spec
	spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := l.Client.BatchV1().Jobs(l.Namespace).Create(l.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: g.jobName(), Annotations: annotations},
		Spec: batchv1.JobSpec{
			Parallelism: new(int32(g.want)), Completions: new(int32(g.want)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"dovetail.dev/gang": "true"}},
				Spec:       spec,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		l.Fatalf("creating Job %s: %v", g.jobName(), err)
	}
}

// complete reports whether the gang is a completed Job.
func (l *life) complete(g *lifeGang) bool {
	l.Helper()
	if g.kind != "job" {
		return false
	}
	job, err := l.Client.BatchV1().Jobs(l.Namespace).Get(l.Context(), g.jobName(), metav1.GetOptions{})
	if err != nil {
		l.Fatalf("reading Job %s: %v", g.jobName(), err)
	}
	return job.Status.CompletionTime != nil
}
