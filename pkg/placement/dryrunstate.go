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

// preFilterRunner is a method of the framework that fwk.Handle omits. It runs the
// profile's PreFilter plugins for a pod outside the pod's scheduling cycle.
type preFilterRunner interface {
	RunPreFilterPlugins(context.Context, fwk.CycleState, *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string])
}

// dryRunKey marks a cycle state that was created for a dry run of the filters during
// planning.
const dryRunKey fwk.StateKey = "dovetail/dry-run"

// dryRunMark is the value stored under dryRunKey. It has no content.
type dryRunMark struct{}

// Clone returns m.
func (m dryRunMark) Clone() fwk.StateData { return m }

// IsDryRun reports whether the cycle state was created to run the stock filters during
// planning. A plugin that plans must skip such a cycle to avoid infinite recursion.
func IsDryRun(state fwk.CycleState) bool {
	_, err := state.Read(dryRunKey)
	return err == nil
}

// newDryRunState returns a cycle state for a dry run of the filters, with what the
// tentative plan intends for the pod.
func newDryRunState(planned cluster.Planned) fwk.CycleState {
	state := framework.NewCycleState()
	state.Write(dryRunKey, dryRunMark{})
	cluster.SetPlanned(state, planned)
	return state
}
