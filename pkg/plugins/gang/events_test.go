// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
)

// A new pod has its gang reported even if the queue does not ask this plugin about the pod,
// because another PreEnqueue plugin keeps it out.
func TestNewPodHasItsGangReported(t *testing.T) {
	g, _, _, _ := planningPlugin(t, 4)
	asked := make(chan gangs.Key, 1)
	g.report = report.New(g.handle, 0, func(_ context.Context, key gangs.Key) report.Status {
		asked <- key
		return report.Status{}
	})
	g.report.Lead()
	go g.report.Run(t.Context())
	pod := member("b", "m0", 2)
	pod.Spec.SchedulerName = g.handle.ProfileName()
	g.podCreated(pod)
	want, _ := g.sources.Key(pod)
	select {
	case key := <-asked:
		if key != want {
			t.Errorf("%v is reported, want %v", key, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%v is not reported", want)
	}
}
