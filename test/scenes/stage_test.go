// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// shared has eight nodes of 96 cores, 8 GPUs and 8 NICs. Nodes 0 and 1 are the first leaf,
// nodes 0 to 3 the first spine.
var shared = harness.Share(func() (localcluster.Options, error) {
	return localcluster.Options{
		Fleets:  []fleet.Spec{{Name: "h", Shape: fleet.NDH100v5, Spines: 2, Leaves: 2, Nodes: 2, Zone: "zone-1", PlacementGroup: "group-1"}},
		Without: []string{localcluster.KubeRay, localcluster.Scheduler},
	}, nil
}, nil)

// TestMain stops the shared cluster, if a test started it.
func TestMain(m *testing.M) { shared.Main(m) }

// nodeName returns the name of a node of the cluster.
func nodeName(i int) string {
	return fmt.Sprintf("h-s%d-l%d-n%d", 1+i/4, 1+i/2%2, 1+i%2)
}

// The node labels that scenes use as domains. A scene that uses rooms assigns them.
const (
	host  = corev1.LabelHostname
	leaf  = fleet.LabelLeaf
	spine = fleet.LabelSpine
	room  = "example.com/room"
)

// scene is a situation and what Dovetail must make of it.
type scene struct {
	// name is a sentence. docs/scenes.md has it.
	name string
	// given happens before the gang exists.
	given []step
	// gang is all roles of the gang.
	gang []role
	// job changes the Job of a gang by Job.
	job func(*batchv1.JobSpec)
	// sources are the ways in which the gang is declared, one after the other. nil means a
	// PodGroup only.
	sources []source
	// refused is a part of what the members say before then happens. "" means that nothing
	// keeps the gang back before then.
	refused string
	// then happens after the refusal. A refused gang without then stays refused.
	then []step
	// want is the number of pods that have a node at the end and did not fail. 0 means the
	// number of members.
	want int
	// check runs when all members have nodes.
	check []step
}

// step is something that happens in a scene.
type step func(*stage)

// stage is the namespace of a scene.
type stage struct {
	*harness.Env
	// by is the source of the gang.
	by source
	// undo are the changes to take back when no pod of the scene is left.
	undo []func(context.Context) error
}

// kind is one of the kinds of situations.
type kind struct {
	letter string
	title  string
	scenes []scene
}

// kinds are all kinds with their scenes.
var kinds = []kind{
	{"A", "What members ask of one another: host ports, affinity, spread, volumes", slices.Concat(portScenes, affinityScenes, spreadScenes, volumeScenes)},
	{"B", "Members of a role that differ", differingScenes},
	{"C", "Something changes, and a gang that waits can run", slices.Concat(nodeScenes, podScenes, storageScenes)},
	{"D", "Members hold claims that a former plan allocated", leftoverScenes},
	{"E", "Members that will never come do not count", quorumScenes},
	{"F", "Claims with alternatives (firstAvailable)", alternativeScenes},
}

// TestScenes runs each scene for each of its sources.
func TestScenes(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.letter, func(t *testing.T) {
			for _, scene := range k.scenes {
				for _, source := range scene.by() {
					t.Run(fmt.Sprintf("%s by %s", scene.name, source), func(t *testing.T) { newStage(t).play(scene, source) })
				}
			}
		})
	}
}

func (s scene) by() []source {
	if len(s.sources) == 0 {
		return []source{byPodGroup}
	}
	return s.sources
}

// newStage returns a namespace that leaves nothing behind that could change another scene.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{}
	cluster := shared.Cluster(t)
	t.Cleanup(func() { // no pod and no claim of the scene is left
		for _, undo := range slices.Backward(s.undo) {
			if err := undo(context.Background()); err != nil {
				s.Errorf("cleaning up: %v", err)
			}
		}
	})
	s.Env = harness.New(t, cluster, harness.Options{Prefix: "scene-"})
	return s
}

// later registers what takes back a change, once no pod of the scene is left.
func (s *stage) later(undo func(context.Context) error) { s.undo = append(s.undo, undo) }

func (s *stage) do(steps []step) {
	s.Helper()
	for _, step := range steps {
		step(s)
	}
}

// play runs the scene.
func (s *stage) play(scene scene, by source) {
	s.Helper()
	s.do(scene.given)
	s.by = by
	n := s.declare(by, scene)
	if scene.refused != "" {
		s.Refused(ofGang, n, scene.refused)
		if scene.then == nil {
			return
		}
	}
	s.do(scene.then)
	s.whole(cmp.Or(scene.want, n))
	s.do(scene.check)
}

// whole waits until n members that did not fail exist and all have a node.
func (s *stage) whole(n int) {
	s.Helper()
	s.Until(fmt.Sprintf("%d members have a node", n), func(context.Context) string {
		members, bound, waits := 0, 0, ""
		for _, pod := range s.Pods(ofGang) {
			switch {
			case pod.Status.Phase == corev1.PodFailed:
				continue
			case pod.Spec.NodeName != "":
				bound++
			default:
				waits = harness.Unschedulable(&pod)
			}
			members++
		}
		if members == n && bound == n {
			return ""
		}
		return fmt.Sprintf("%d of %d have. One that has none says: %s", bound, members, waits)
	})
}
