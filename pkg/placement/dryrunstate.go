// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// preFilterRunner is the part of the framework that fwk.Handle leaves out: it runs the
// profile's PreFilter plugins for a pod that has no cycle of its own yet.
type preFilterRunner interface {
	RunPreFilterPlugins(context.Context, fwk.CycleState, *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string])
}

// dryRunKey marks a cycle state that was made for a dry run.
const dryRunKey fwk.StateKey = "dovetail/dry-run"

// dryRunMark has no content.
type dryRunMark struct{}

// Clone returns m.
func (m dryRunMark) Clone() fwk.StateData { return m }

// IsDryRun reports whether the cycle state was made to run the stock filters while
// planning. A plugin that plans must skip such a cycle, or planning would not end.
func IsDryRun(state fwk.CycleState) bool {
	_, err := state.Read(dryRunKey)
	return err == nil
}

// newDryRunState returns the state of a cycle in which a plan is tried that is not made
// yet.
func newDryRunState(planned cluster.Planned) fwk.CycleState {
	state := framework.NewCycleState()
	state.Write(dryRunKey, dryRunMark{})
	cluster.SetPlanned(state, planned)
	return state
}
