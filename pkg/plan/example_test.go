// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// The gang has two workers with 8 GPUs each. They should share a leaf.
func ExamplePlan() {
	st, err := plan.NewState(plan.Layout{
		Levels:    []plan.Level{{Name: "spine"}, {Name: "leaf"}},
		Resources: []string{"pods"},
		Kinds:     []string{"gpu"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for name, leaf := range map[string]string{"n1": "l1", "n2": "l2", "n3": "l2"} {
		if err := st.Upsert(plan.NodeSpec{
			Name: name, Domains: []string{"s1", leaf},
			Free: []int64{110}, Units: []plan.Unit{{Free: []int{8}}},
		}); err != nil {
			fmt.Println(err)
		}
	}
	gang := plan.Gang{
		Name:      "ml/train",
		Preferred: "leaf",
		Roles: []plan.Role{{
			Name:    "worker",
			Members: []plan.Member{{Name: "worker-0"}, {Name: "worker-1"}},
			Need:    plan.Need{Resources: []int64{1}, Devices: []plan.DeviceNeed{{Kinds: []int{0}, Count: 8}}},
		}},
	}
	filters := func(role int, node string, already int) bool { return true }

	d := plan.Plan(st.Freeze(), gang, filters, plan.Options{})
	fmt.Println(d.Why())
	for _, a := range d.Assignments {
		fmt.Println(a.Member, a.Node)
	}
	// Output:
	// gang ml/train: 2 members on 2 nodes in leaf s1/l2
	// worker-0 n2
	// worker-1 n3
}
