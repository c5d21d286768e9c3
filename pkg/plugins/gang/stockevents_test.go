// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// neverHelps are the events of stock filters that give no refused gang room, by the reason.
var neverHelps = map[fwk.ClusterEvent]string{
	event(fwk.AssignedPod, fwk.UpdatePodScaleUp):    "the pod takes more room; stock has pods that run and wait for a resize preempt for it",
	event(fwk.Node, fwk.UpdateNodePreemptionPolicy): "it decides whether a resize may preempt",
}

// A member that this plugin refuses gets only the hints of this plugin. So every event that a
// stock filter or prefilter of the default profile registers is among its own.
func TestEventsOfStock(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.InPlacePodVerticalScalingSchedulerPreemption, true)
	client := fake.NewClientset()
	stock, err := scheduler.New(t.Context(), client, scheduler.NewInformerFactory(client, 0, nil), nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(0) })
	if err != nil {
		t.Fatalf("making the stock scheduler: %v", err)
	}
	ours, err := pluginWith(t, nil).EventsToRegister(t.Context())
	if err != nil {
		t.Fatalf("EventsToRegister: %v", err)
	}
	seen, needed := 0, map[fwk.ClusterEvent]bool{}
	for _, plugin := range stock.Profiles["default-scheduler"].EnqueueExtensions() {
		if !filters(plugin) {
			continue
		}
		theirs, err := plugin.EventsToRegister(t.Context())
		if err != nil {
			t.Fatalf("EventsToRegister of %s: %v", plugin.Name(), err)
		}
		for _, event := range singleEvents(theirs) {
			seen++
			switch {
			case neverHelps[event] != "":
				needed[event] = true
			case !covers(ours, event):
				t.Errorf("%s registers %s %s, and Gang does not", plugin.Name(), event.Resource, event.ActionType)
			}
		}
	}
	if seen == 0 {
		t.Error("no stock filter registers any event")
	}
	for event := range neverHelps {
		if !needed[event] {
			t.Errorf("%s %s is an exception, and no stock filter registers it", event.Resource, event.ActionType)
		}
	}
}

// filters reports that a plugin can refuse a pod in its scheduling cycle.
func filters(plugin fwk.Plugin) bool {
	_, isFilter := plugin.(fwk.FilterPlugin)
	_, isPreFilter := plugin.(fwk.PreFilterPlugin)
	return isFilter || isPreFilter
}

// singleEvents returns the events with one action each.
func singleEvents(registered []fwk.ClusterEventWithHint) []fwk.ClusterEvent {
	var single []fwk.ClusterEvent
	for _, known := range registered {
		for action := fwk.Add; action < fwk.All; action <<= 1 {
			if known.Event.ActionType&action != 0 {
				single = append(single, event(known.Event.Resource, action))
			}
		}
	}
	return single
}

func covers(registered []fwk.ClusterEventWithHint, event fwk.ClusterEvent) bool {
	for _, known := range registered {
		if framework.MatchClusterEvents(known.Event, event) {
			return true
		}
	}
	return false
}
