// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// FormatAmounts writes the amounts in a decision as Kubernetes quantities. The planner
// counts CPU in milli-cores and memory in bytes.
func FormatAmounts(decision *plan.Decision) {
	for i := range decision.Reasons {
		for j := range decision.Reasons[i].Changes {
			change := &decision.Reasons[i].Changes[j]
			switch v1.ResourceName(change.What) {
			case v1.ResourceCPU:
				change.Amount = resource.NewMilliQuantity(change.Count, resource.DecimalSI).String()
			case v1.ResourceMemory, v1.ResourceEphemeralStorage:
				change.Amount = resource.NewQuantity(change.Count, resource.BinarySI).String()
			}
		}
	}
}
