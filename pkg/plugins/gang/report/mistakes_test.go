// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// recording is a handle with a recorder of events.
type recording struct {
	fwk.Handle
	recorder *events.FakeRecorder
}

func (r recording) EventRecorder() events.EventRecorderLogger { return r.recorder }

func (r recording) events() []string {
	var all []string
	for {
		select {
		case event := <-r.recorder.Events:
			all = append(all, event)
		default:
			return all
		}
	}
}

// Each mistake in metadata gets one event: of a gang only on the first pod, and once on the
// object that declares the gang.
func TestMistakesGetOneEvent(t *testing.T) {
	handle := recording{recorder: events.NewFakeRecorder(100)}
	r := New(handle, 0, nil)
	pod := func(name string, annotations map[string]string) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name), Annotations: annotations}}
	}
	wrong := map[string]string{"dovetail.dev/gang-mim": "3"}
	key := gangs.CoschedulingKey("ml", "train")
	r.Metadata(gangs.Key{}, pod("standby", wrong)) // the leader writes it
	r.Lead()
	r.Metadata(gangs.Key{}, pod("right", map[string]string{gangs.GangMinAnnotation: "3"}))
	r.Metadata(gangs.Key{}, pod("standby", wrong))
	r.Metadata(gangs.Key{}, pod("single", wrong))
	r.Metadata(gangs.Key{}, pod("single", wrong))
	r.Metadata(key, pod("train-0", wrong))
	r.Metadata(key, pod("train-1", wrong))
	attempt := &gangstate.Attempt{Key: key, Gang: gangs.Gang{
		Key: key, Owner: v1.ObjectReference{Kind: "PodGroup", Namespace: "ml", Name: "train"}, Topology: gangs.Topology{Mistake: "dovetail.dev/rack"},
	}}
	r.Placed(attempt, 2)
	r.Placed(attempt, 2)
	const ofPod = "Warning InvalidMetadata annotation dovetail.dev/gang-mim of the pod has no effect: the key is unknown, perhaps dovetail.dev/gang-min is meant"
	const placed = "Normal GangPlaced 2 members of podgroup ml/train placed in "
	want := []string{ofPod, ofPod, ofPod, placed, "Warning InvalidMetadata annotation dovetail.dev/rack of podgroup ml/train has no effect: the key is unknown", placed}
	if diff := cmp.Diff(want, handle.events()); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}
