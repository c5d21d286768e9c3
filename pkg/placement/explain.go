// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// quoteLimit is the maximum length of a plugin's message quoted in a gang's sentence. The
// sentence is written on every member and in an event of at most 1024 bytes. The messages
// of the stock plugins are shorter.
const quoteLimit = 160

// filterRefusal is the message of a plugin that refused a node. own is true if this
// package wrote the message, which then names the node requirement or taint that excludes
// the node.
type filterRefusal struct {
	plugin, message string
	own             bool
}

// filterRefusals has the last refusal of each node for one role. The planner may ask
// about a node with several members of the role before it asks about the node with none.
// The last message is then about the first member, so it is the reason that excludes the
// role.
type filterRefusals map[string]filterRefusal

func (r filterRefusals) add(node string, status *fwk.Status) {
	r[node] = filterRefusal{plugin: cmp.Or(status.Plugin(), "a filter"), message: status.Message()}
}

// explainFilters adds the filters' messages to the exclusions of a decision, which has
// only the names of the refused nodes. refusals returns the filters' refusals of a role,
// given the role's index.
func explainFilters(decision *plan.Decision, roles []plan.Role, refusals func(role int) filterRefusals) {
	for i := range decision.Reasons {
		reason := &decision.Reasons[i]
		role := slices.IndexFunc(roles, func(r plan.Role) bool { return r.Name == reason.Role })
		if role < 0 {
			continue
		}
		for _, exclusions := range [][]plan.Exclusion{reason.Excluded, reason.Full} {
			for j := range exclusions {
				exclusions[j].Detail = refusals(role).mostFrequent(exclusions[j].Refused)
			}
		}
	}
}

// mostFrequent returns a quote of the plugin that refused the most of these nodes, with
// its most frequent message: `2 by NodeAffinity: "node(s) didn't match ..."`.
func (r filterRefusals) mostFrequent(nodes []string) string {
	byPlugin, byMessage := map[string]int{}, map[filterRefusal]int{}
	for _, node := range nodes {
		if refusal, ok := r[node]; ok {
			byPlugin[refusal.plugin]++
			byMessage[refusal]++
		}
	}
	if len(byPlugin) == 0 {
		return ""
	}
	plugin := slices.MinFunc(slices.Collect(maps.Keys(byPlugin)), func(a, b string) int {
		return cmp.Or(byPlugin[b]-byPlugin[a], cmp.Compare(a, b))
	})
	maps.DeleteFunc(byMessage, func(refusal filterRefusal, _ int) bool { return refusal.plugin != plugin })
	quoted := slices.MinFunc(slices.Collect(maps.Keys(byMessage)), func(a, b filterRefusal) int {
		return cmp.Or(byMessage[b]-byMessage[a], cmp.Compare(a.message, b.message))
	})
	if quoted.own {
		return fmt.Sprintf("%d by %s: %s", byPlugin[plugin], plugin, quoted.message)
	}
	return fmt.Sprintf("%d by %s: \"%s\"", byPlugin[plugin], plugin, shortened(quoted.message))
}

// shortened truncates a message that is too long to quote.
func shortened(message string) string {
	if len(message) <= quoteLimit {
		return message
	}
	return gangs.Cut(message, quoteLimit)
}
