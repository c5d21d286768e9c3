// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

func TestMostFrequentRefusal(t *testing.T) {
	const affinity, taint = "didn't match Pod's node affinity/selector", "had untolerated taint(s)"
	refused := filterRefusals{
		"n1": {plugin: "NodeAffinity", message: affinity}, "n2": {plugin: "NodeAffinity", message: affinity}, "n3": {plugin: "NodeAffinity", message: "another"},
		"n4": {plugin: "TaintToleration", message: taint}, "n5": {plugin: "TaintToleration", message: taint},
		"n6": {plugin: "Long", message: strings.Repeat("é", quoteLimit)},
	}
	tests := map[string]struct {
		nodes []string
		want  string
	}{
		"no plugin refused":                              {[]string{"n7"}, ""},
		"the plugin that refused most nodes":             {[]string{"n1", "n2", "n4", "n7"}, `2 by NodeAffinity: "` + affinity + `"`},
		"its most frequent message":                      {[]string{"n3", "n4", "n2", "n1", "n5"}, `3 by NodeAffinity: "` + affinity + `"`},
		"the first plugin by name of equal counts":       {[]string{"n5", "n4", "n2", "n3"}, `2 by NodeAffinity: "another"`},
		"a long message is cut between whole characters": {[]string{"n6"}, `1 by Long: "` + strings.Repeat("é", quoteLimit/2) + ` ..."`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, refused.mostFrequent(tc.nodes)); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
		})
	}
}

// The quoted messages are those of the role without enough room.
func TestExplainFilters(t *testing.T) {
	roles := []plan.Role{{Name: "head"}, {Name: "workers"}}
	refusals := []filterRefusals{
		{"n1": {plugin: "NodePorts", message: "ports"}},
		{"n1": {plugin: "NodeAffinity", message: "labels"}},
	}
	decision := plan.Decision{Reasons: []plan.Reason{
		{Kind: plan.BadRequest},
		{Kind: plan.NoRoom, Role: "workers", Excluded: []plan.Exclusion{
			{Cause: "cpu", Nodes: 3}, {Cause: plan.CauseFilter, Nodes: 1, Refused: []string{"n1"}},
		}},
	}}
	explainFilters(&decision, roles, func(role int) filterRefusals { return refusals[role] })
	var got []string
	for _, excluded := range decision.Reasons[1].Excluded {
		got = append(got, excluded.Detail)
	}
	if diff := cmp.Diff([]string{"", `1 by NodeAffinity: "labels"`}, got); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}
