// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// count updates the counts of free devices if the pod requests devices. It comes before begin,
// which refuses costly CEL selectors: a cost is known only after evaluation on the devices.
func (d *DRAAware) count(pod *v1.Pod) error {
	if d.devices == nil || !cluster.RequestsDevices(pod) {
		return nil
	}
	if err := d.devices.Sync(); err != nil {
		return fmt.Errorf("counting devices: %w", err)
	}
	return nil
}

// begin reads the pod's device request at the start of its scheduling cycle. It returns
// nil if only the in-tree plugin handles the pod's devices. The error is a sentence for
// the user. begin charges the pod's namespace for CEL selectors.
func (d *DRAAware) begin(pod *v1.Pod, set setting) (*cycle, error) {
	if d.devices == nil || !cluster.RequestsDevices(pod) {
		return nil, nil
	}
	planned := set.planned
	mode, err := d.devices.Alignment(pod, planned.Alignment)
	if err != nil {
		return nil, err
	}
	need, err := d.devices.RequestOf(pod, planned.Subrequests, set.freed)
	if err == nil && planned.Node == "" {
		err = d.devices.Inventory().Affords(pod.Namespace, &need)
	}
	if cost := (*devices.CostError)(nil); errors.As(err, &cost) {
		if cost.Temporary {
			d.tryAgain(pod)
		}
		return nil, err // refused, because the in-tree plugin would evaluate the same costly selectors
	}
	switch {
	case err != nil && mode == gangs.AlignmentRequired:
		return nil, fmt.Errorf("device alignment is required: %w", err)
	case err != nil:
		// Leave the pod to the in-tree plugin, which has its own message for a request that
		// it cannot serve.
		d.logger.V(4).Info("Devices are not put in order", "pod", klog.KObj(pod), "reason", err.Error())
		return nil, nil
	case need.Empty():
		return nil, nil
	}
	d.devices.Inventory().ChargeAllocation(pod.Namespace, &need, planned.Node)
	return &cycle{
		pod: pod.UID, need: need, mode: mode,
		inventory: d.devices.Inventory(), shown: set.shown, planned: planned,
	}, nil
}

// tryAgainAfter is how long a pod waits whose namespace has spent its budget for CEL selectors.
// An empty budget is full again after 20 seconds; a namespace in debt waits longer.
const tryAgainAfter = 5 * time.Second

// tryAgain activates a refused pod after tryAgainAfter: no event reports that a budget has
// been refilled. A pod has one timer at most.
func (d *DRAAware) tryAgain(pod *v1.Pod) {
	if _, pending := d.retries.LoadOrStore(pod.UID, struct{}{}); pending {
		return
	}
	time.AfterFunc(tryAgainAfter, func() {
		d.retries.Delete(pod.UID)
		d.real.Activate(d.logger, cluster.ByName(pod))
	})
}
