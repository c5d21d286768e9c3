// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package evict

import (
	"slices"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// matchBudgets finds the PodDisruptionBudgets of all units. A unit with more pods than a budget
// allows to evict is protected, or breaks the budget if prefer is true.
func matchBudgets(units *Units, prefer bool) {
	type matcher struct {
		index    int
		selector labels.Selector
	}
	byNamespace := map[string][]matcher{}
	for i, budget := range units.budgets {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil || selector.Empty() && budget.Spec.Selector == nil {
			continue // it matches no pod
		}
		byNamespace[budget.Namespace] = append(byNamespace[budget.Namespace], matcher{i, selector})
	}
	if len(byNamespace) == 0 {
		return
	}
	match := func(unit *Unit) {
		for i := range unit.Pods {
			pod := unit.Pods[i].Info.GetPod()
			for _, m := range byNamespace[pod.Namespace] {
				if m.selector.Matches(labels.Set(pod.Labels)) {
					if unit.budgets == nil {
						unit.budgets = map[int]int{}
					}
					unit.budgets[m.index]++
				}
			}
		}
	}
	left := units.List[:0]
	for _, unit := range units.List {
		if unit.Leaving {
			left = append(left, unit)
			continue
		}
		match(&unit)
		broken := units.breaches(&unit)
		if broken == nil || prefer {
			unit.Breaches = count(unit.budgets, broken, units.budgets)
			left = append(left, unit)
			continue
		}
		unit.Protected = "is protected by PodDisruptionBudget " + broken[0].Name
		units.Protected = append(units.Protected, unit)
	}
	units.List = withoutOrphans(left, units)
}

// breaches returns the budgets that allow fewer evictions than the unit has pods, by name.
func (u *Units) breaches(unit *Unit) []*policyv1.PodDisruptionBudget {
	var out []*policyv1.PodDisruptionBudget
	for i, budget := range u.budgets {
		if n := unit.budgets[i]; n > 0 && int32(n) > budget.Status.DisruptionsAllowed {
			out = append(out, budget)
		}
	}
	return out
}

// count returns the number of pods beyond what the broken budgets allow.
func count(of map[int]int, broken, all []*policyv1.PodDisruptionBudget) int64 {
	sum := int64(0)
	for i, budget := range all {
		if slices.Contains(broken, budget) {
			sum += int64(of[i]) - int64(budget.Status.DisruptionsAllowed)
		}
	}
	return sum
}

// withoutOrphans drops the units that must leave after a unit which is protected.
func withoutOrphans(list []Unit, units *Units) []Unit {
	protected := map[string]string{}
	for i := range units.Protected {
		protected[units.Protected[i].Name] = units.Protected[i].Protected
	}
	left := list[:0]
	for _, unit := range list {
		blocker := slices.IndexFunc(unit.After, func(name string) bool { return protected[name] != "" })
		if blocker < 0 {
			left = append(left, unit)
			continue
		}
		unit.Protected = protected[unit.After[blocker]]
		units.Protected = append(units.Protected, unit)
	}
	return left
}

// Overdrawn returns a budget that does not allow to evict all chosen units together, and the
// chosen units with its pods beyond what it allows, as indices in List. It returns nil if all
// budgets allow it.
func (u *Units) Overdrawn(chosen []int) (budget *policyv1.PodDisruptionBudget, units []int) {
	for i, budget := range u.budgets {
		sum := int32(0)
		var over []int
		for _, k := range chosen {
			if n := u.List[k].budgets[i]; n > 0 {
				if sum += int32(n); sum > budget.Status.DisruptionsAllowed {
					over = append(over, k)
				}
			}
		}
		if len(over) > 0 {
			return budget, over
		}
	}
	return nil, nil
}

// Protect moves units of List to Protected. It does the same with the units that must leave
// after them.
func (u *Units) Protect(chosen []int, why string) {
	left := make([]Unit, 0, len(u.List))
	for i := range u.List {
		if slices.Contains(chosen, i) {
			u.List[i].Protected = why
			u.Protected = append(u.Protected, u.List[i])
			continue
		}
		left = append(left, u.List[i])
	}
	u.List = withoutOrphans(left, u)
}
