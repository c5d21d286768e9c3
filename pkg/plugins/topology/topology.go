// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"fmt"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// Name is the plugin's name in a profile.
const Name = "Topology"

// Topology is the plugin. It scores nodes for pods that request devices.
type Topology struct {
	handle  fwk.Handle
	profile *cluster.Profile
	// scoring is the cycle whose nodes are being scored. Reading it from the CycleState
	// would cost an allocation per node.
	scoring atomic.Pointer[scoring]
}

var (
	_ fwk.PreScorePlugin = (*Topology)(nil)
	_ fwk.ScorePlugin    = (*Topology)(nil)
	_ fwk.SignPlugin     = (*Topology)(nil)
)

// New makes the plugin and passes the levels of the network fabric from its arguments to the
// profile's view of the cluster.
func New(_ context.Context, obj runtime.Object, handle fwk.Handle, profile *cluster.Profile) (fwk.Plugin, error) {
	args, err := config.DecodeTopologyArgs(obj)
	if err != nil {
		return nil, err
	}
	levels := make([]cluster.Level, len(args.Levels))
	for i, level := range args.Levels {
		levels[i] = cluster.Level(level)
	}
	profile.SetLevels(levels)
	return &Topology{handle: handle, profile: profile}, nil
}

// Name returns the plugin's name.
func (t *Topology) Name() string { return Name }

// scoring has the data for Score in one scheduling cycle.
type scoring struct {
	pod     types.UID
	picture *plan.Snapshot
	need    plan.Need
}

const scoringKey fwk.StateKey = Name + "/scoring"

// Clone returns s, which is immutable.
func (s *scoring) Clone() fwk.StateData { return s }

// PreScore takes the snapshot by which Score rates the nodes of this cycle. It skips pods
// that request no devices.
func (t *Topology) PreScore(_ context.Context, state fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) *fwk.Status {
	if !cluster.RequestsDevices(pod) {
		return fwk.NewStatus(fwk.Skip)
	}
	cache, err := t.profile.Cache()
	if err != nil {
		return fwk.AsStatus(err)
	}
	needs, err := cache.Read([]*v1.Pod{pod})
	if err != nil {
		return fwk.NewStatus(fwk.Skip) // the filters accepted the pod, so only counting the pod's devices failed
	}
	nodes, err := t.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return fwk.AsStatus(fmt.Errorf("listing nodes: %w", err))
	}
	picture, err := cache.Refresh(nodes, nil)
	if err != nil {
		return fwk.AsStatus(err)
	}
	s := &scoring{pod: pod.UID, picture: picture, need: needs[0].Need}
	t.scoring.Store(s)
	state.Write(scoringKey, s)
	return nil
}

// Score prefers the node whose use splits the fewest free topology domains (the nodes below one
// switch, none of them in use).
func (t *Topology) Score(_ context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) (int64, *fwk.Status) {
	s := t.scoring.Load()
	if s == nil || s.pod != pod.UID {
		data, err := state.Read(scoringKey)
		if err != nil {
			return 0, fwk.AsStatus(fmt.Errorf("reading the picture that PreScore took: %w", err))
		}
		s = data.(*scoring)
	}
	return max(plan.Score(s.picture, s.need, info.Node().Name), fwk.MinScore), nil
}

// ScoreExtensions returns nil: scores are already between 0 and 100.
func (t *Topology) ScoreExtensions() fwk.ScoreExtensions { return nil }

// SignPod adds nothing to the pod's signature, by which the scheduler reuses results for equal
// pods: the score depends on requests, which in-tree plugins sign.
func (t *Topology) SignPod(context.Context, *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return nil, nil
}
