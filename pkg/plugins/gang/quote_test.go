// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

func TestMostSaid(t *testing.T) {
	const affinity, taint = "didn't match Pod's node affinity/selector", "had untolerated taint(s)"
	one := &trial{refused: map[string]refusal{
		"n1": {"NodeAffinity", affinity}, "n2": {"NodeAffinity", affinity}, "n3": {"NodeAffinity", "another"},
		"n4": {"TaintToleration", taint}, "n5": {"TaintToleration", taint},
		"n6": {"Long", strings.Repeat("é", quoteLimit)},
	}}
	tests := map[string]struct {
		nodes []string
		want  string
	}{
		"nobody said anything":                             {[]string{"n7"}, ""},
		"who refused most":                                 {[]string{"n1", "n2", "n4", "n7"}, `2 by NodeAffinity: "` + affinity + `"`},
		"what it said of most":                             {[]string{"n3", "n4", "n2", "n1", "n5"}, `3 by NodeAffinity: "` + affinity + `"`},
		"the first by name of those who refused as many":   {[]string{"n5", "n4", "n2", "n3"}, `2 by NodeAffinity: "another"`},
		"no more than can be read, and no half characters": {[]string{"n6"}, `1 by Long: "` + strings.Repeat("é", quoteLimit/2) + ` ..."`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, one.mostSaid(tc.nodes)); diff != "" {
				t.Errorf("(-want,+got)\n%s", diff)
			}
		})
	}
}

// What is quoted is what was said to the role that is short.
func TestQuote(t *testing.T) {
	p := planning{ask: plan.Gang{Roles: []plan.Role{{Name: "head"}, {Name: "workers"}}}}
	p.trials.roles = []*trial{
		{refused: map[string]refusal{"n1": {"NodePorts", "ports"}}},
		{refused: map[string]refusal{"n1": {"NodeAffinity", "labels"}}},
	}
	decision := plan.Decision{Reasons: []plan.Reason{
		{Kind: plan.BadRequest},
		{Kind: plan.NoRoom, Role: "workers", Excluded: []plan.Exclusion{
			{Cause: "cpu", Nodes: 3}, {Cause: plan.CauseFilter, Nodes: 1, Refused: []string{"n1"}},
		}},
	}}
	p.quote(&decision)
	var got []string
	for _, one := range decision.Reasons[1].Excluded {
		got = append(got, one.Detail)
	}
	if diff := cmp.Diff([]string{"", `1 by NodeAffinity: "labels"`}, got); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}
