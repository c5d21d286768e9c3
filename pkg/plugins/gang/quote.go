// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// quoteLimit bounds what a plugin's sentence takes of a gang's, which is written on
// every member and, within 1024 bytes, in an event. Those of stock are shorter.
const quoteLimit = 160

// refusal is what a plugin said when it refused a node.
type refusal struct{ plugin, sentence string }

// refuse notes what was said last of the role and the node: the planner asks about a
// first member last when it was refused several.
func (t *trial) refuse(node string, status *fwk.Status) {
	if t.refused == nil {
		t.refused = map[string]refusal{}
	}
	t.refused[node] = refusal{plugin: cmp.Or(status.Plugin(), "a filter"), sentence: status.Message()}
}

// quote has a decision say what filters refused nodes for. The planner knows only
// that they did, and of which nodes.
func (p *planning) quote(decision *plan.Decision) {
	for i := range decision.Reasons {
		reason := &decision.Reasons[i]
		role := slices.IndexFunc(p.ask.Roles, func(r plan.Role) bool { return r.Name == reason.Role })
		if role < 0 {
			continue
		}
		for j := range reason.Excluded {
			one := &reason.Excluded[j]
			one.Detail = p.trials.roles[role].mostSaid(one.Refused)
		}
	}
}

// mostSaid quotes the plugin that refused the most of the nodes, with what it said of
// the most of those: `2 by NodeAffinity: "node(s) didn't match ..."`.
func (t *trial) mostSaid(nodes []string) string {
	byPlugin, bySentence := map[string]int{}, map[refusal]int{}
	for _, node := range nodes {
		if one, ok := t.refused[node]; ok {
			byPlugin[one.plugin]++
			bySentence[one]++
		}
	}
	if len(byPlugin) == 0 {
		return ""
	}
	plugin := slices.MinFunc(slices.Collect(maps.Keys(byPlugin)), func(a, b string) int {
		return cmp.Or(byPlugin[b]-byPlugin[a], cmp.Compare(a, b))
	})
	maps.DeleteFunc(bySentence, func(one refusal, _ int) bool { return one.plugin != plugin })
	said := slices.MinFunc(slices.Collect(maps.Keys(bySentence)), func(a, b refusal) int {
		return cmp.Or(bySentence[b]-bySentence[a], cmp.Compare(a.sentence, b.sentence))
	})
	return fmt.Sprintf("%d by %s: \"%s\"", byPlugin[plugin], plugin, shortened(said.sentence))
}

// shortened leaves out the end of a sentence that is too long to quote.
func shortened(sentence string) string {
	if len(sentence) <= quoteLimit {
		return sentence
	}
	return gangs.Cut(sentence, quoteLimit)
}
