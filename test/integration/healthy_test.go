// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Healthy gangs get no Warning while their controllers still create pods and claims, however
// long that takes. An incomplete gang gets its one Warning once nothing has come for
// reportDelay.
func TestHealthyGangsGetNoWarning(t *testing.T) {
	const size = 250
	e := alone(t, localcluster.Options{
		Fleets: []fleet.Spec{plainFleet(t, "shape=plain,spines=1,leaves=2,nodes=5"), fleet.Default()},
		// The controllers of Jobs and claims make 25 requests a second: the Job's pods come
		// over ten seconds, ten times the default of reportDelay.
		Args: map[string][]string{localcluster.ControllerManager: {"--kube-api-qps=25", "--kube-api-burst=25"}},
	})
	e.job("wide", size)
	sample, err := os.ReadFile("../demo/1-rayjob.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e.kubectl(t, sample, "apply", "-f", "-")
	e.Whole("job-name=wide", size)
	e.Whole("ray.io/group=h100", 4)
	took := e.span("job-name=wide")
	t.Logf("the Job's pods came over %d s", took)
	if took < 3 {
		t.Errorf("the Job's pods came within %d s: the test says nothing", took)
	}
	for _, event := range e.warnings() {
		t.Errorf("a healthy gang got a Warning: %s %s: %s", event.Regarding.Kind, event.Regarding.Name, event.Note)
	}

	e.podGroup("short", 3, nil)
	e.createPods(members("short", 2)...)
	e.Waiting(groupLabel+"=short", 2, "waiting for 1 of 3 members")
	e.Eventually("the PodGroup and its pods have one Warning each", func() bool { return len(e.warnings()) == 3 })
	if n := e.waitingNotes("short"); n != 1 {
		t.Errorf("the PodGroup has %d events on why it waits, want 1", n)
	}
}

// job creates a Job whose pods are one gang.
func (e *env) job(name string, size int32) {
	e.Helper()
	template := newPod("")
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"dovetail.dev/gang": "true"}},
		Spec:       batchv1.JobSpec{Parallelism: &size, Completions: &size, Template: corev1.PodTemplateSpec{Spec: template.Spec}},
	}
	if _, err := e.Client.BatchV1().Jobs(e.Namespace).Create(e.Context(), job, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating Job %s: %v", name, err)
	}
}

// span returns the seconds between the creation of the first and the last pod that match.
func (e *env) span(selector string) int {
	e.Helper()
	var first, last metav1.Time
	for i, pod := range e.Pods(selector) {
		if created := pod.CreationTimestamp; i == 0 || created.Before(&first) {
			first = created
		}
		if created := pod.CreationTimestamp; last.Before(&created) {
			last = created
		}
	}
	return int(last.Sub(first.Time).Seconds())
}

// warnings returns the namespace's Warning events of Dovetail.
func (e *env) warnings() []eventsv1.Event {
	e.Helper()
	list, err := e.Client.EventsV1().Events(e.Namespace).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing events: %v", err)
	}
	var found []eventsv1.Event
	for _, event := range list.Items {
		if event.Type == corev1.EventTypeWarning && strings.HasPrefix(event.ReportingController, profile) {
			found = append(found, event)
		}
	}
	return found
}
