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

// errSlowFilters is the error of a plan that ends at slowLimit.
var errSlowFilters = errors.New("the filters take too long")

// filterTime runs filters and limits the time that slow runs may take.
type filterTime struct{ spent time.Duration }

// run runs the filters for a pod on a node, unless slow runs have taken slowLimit. Then it
// returns errSlowFilters.
func (f *filterTime) run(ctx context.Context, handle fwk.Handle, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if f.spent >= slowLimit {
		return fwk.AsStatus(fmt.Errorf("%w: slow runs took %v, more than %v for one plan", errSlowFilters, f.spent.Round(time.Second), slowLimit))
	}
	began := time.Now()
	status := handle.RunFilterPlugins(ctx, state, pod, info)
	if took := time.Since(began); took >= slowRun {
		f.spent += took
	}
	return status
}
