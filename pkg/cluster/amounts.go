// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// FormatAmounts writes the amounts in a decision (the result of planning nodes for a gang of
// pods) as Kubernetes quantities. The planner counts CPU in milli-cores and memory in bytes.
func FormatAmounts(decision *plan.Decision) {
	for i := range decision.Reasons {
		reason := &decision.Reasons[i]
		for j := range reason.Changes {
			change := &reason.Changes[j]
			change.Amount = quantity(change.What, change.Count)
		}
		for j := range reason.Full {
			full := &reason.Full[j]
			full.Amount = quantity(full.Cause, full.Short)
		}
		if never := reason.Never; never != nil {
			never.NeedAmount, never.MostAmount = quantity(never.What, never.Need), quantity(never.What, never.Most)
		}
	}
}

// quantity returns an amount of a resource as a Kubernetes quantity, or "" for resources and
// devices that are counted one by one.
func quantity(name string, amount int64) string {
	switch v1.ResourceName(name) {
	case v1.ResourceCPU:
		return resource.NewMilliQuantity(amount, resource.DecimalSI).String()
	case v1.ResourceMemory, v1.ResourceEphemeralStorage:
		return resource.NewQuantity(amount, resource.BinarySI).String()
	}
	return ""
}
