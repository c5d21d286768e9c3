// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
)

// SetPatience sets how long a binding asks for lost answers, and how long a request can be in
// flight.
func SetPatience(plugin fwk.Plugin, binding, inFlight time.Duration) {
	d, _ := plugin.(*DRAAware)
	d.patience = patience{binding: binding, inFlight: inFlight}
	d.lostWrites.inFlight = inFlight
}

// HoldsDevices reports whether the plugin has heard from the informer that the claim holds
// devices.
func HoldsDevices(plugin fwk.Plugin, claim types.UID) bool {
	d, _ := plugin.(*DRAAware)
	d.allocations.mu.RLock()
	defer d.allocations.mu.RUnlock()
	return d.allocations.byClaim[claim] != nil
}
