// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

const (
	// slowRun is the time from which a run of the filters on one node counts as slow. Usual
	// runs take microseconds, also with resource claims.
	slowRun = 50 * time.Millisecond
	// slowLimit limits the slow runs of a plan, all together. No pod of anyone is scheduled
	// meanwhile. The in-tree DynamicResources plugin searches that long for devices on a node
	// by default (filterTimeout); then the stock scheduler ends the cycle. It searches on
	// several nodes at the same time, a plan on one node after the other.
	slowLimit = 10 * time.Second
)

// The errors of slow filters: of a run that failed, and of a plan that ends at slowLimit.
var (
	errSlowRun  = errors.New("a filter needed too long")
	errSlowPlan = errors.New("the filters need too long")
)

// Slow reports whether an error of planning comes from slow filters. The next plan takes as
// long.
func Slow(err error) bool { return errors.Is(err, errSlowRun) || errors.Is(err, errSlowPlan) }

// filterTime runs filters and limits the time that slow runs may take.
type filterTime struct{ spent time.Duration }

// run runs the filters for a pod on a node. It returns errSlowPlan if slow runs have taken
// slowLimit before.
func (f *filterTime) run(ctx context.Context, handle fwk.Handle, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if f.spent >= slowLimit {
		return fwk.AsStatus(fmt.Errorf("%w: a plan may take %v", errSlowPlan, slowLimit))
	}
	began := time.Now()
	status := handle.RunFilterPlugins(ctx, state, pod, info)
	took := time.Since(began)
	if took < slowRun {
		return status
	}
	f.spent += took
	if status.Code() == fwk.Error {
		return fwk.AsStatus(fmt.Errorf("%w: %w", errSlowRun, status.AsError()))
	}
	return status
}
