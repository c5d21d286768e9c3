// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"maps"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// imagineAgain is how long the answer to "what if some pods were gone" serves.
// Finding it costs as much as the first look at the cluster, in a cycle for which
// everybody else waits.
const imagineAgain = 30 * time.Second

// image is a gang on its way through the planner in a cluster as it would be
// without some pods. Nothing is decided by it but whether there would be a place.
type image struct {
	planning
	picture *plan.Snapshot
	nodes   map[string]*v1.Node
}

// imagine writes the gang as if nothing of it stood yet in the cluster without the
// pods. It returns nil if the gang cannot be understood there.
func (g *Gang) imagine(ctx context.Context, req request, nodes []fwk.NodeInfo, gone []*v1.Pod) (*image, error) {
	survey, err := g.desk.CacheWithLabels(req.gang.Labels(), len(req.gang.Groups) > 0, nodes)
	if err != nil {
		return nil, err
	}
	other, infos, err := survey.Without(nodes, gone)
	if err != nil {
		return nil, err
	}
	req.placed, req.limits = map[types.UID]string{}, nil
	p, refusal := g.newPlanning(ctx, req)
	if refusal != "" {
		return nil, nil
	}
	one := &image{planning: p, nodes: map[string]*v1.Node{}}
	if refusal := one.prepare(other, infos); refusal != "" {
		return nil, nil
	}
	if one.picture, err = other.Refresh(infos, req.holds); err != nil {
		return nil, err
	}
	for _, info := range infos {
		if node := info.Node(); node != nil {
			one.nodes[node.Name] = node
		}
	}
	return one, nil
}

// solve asks the planner. The stock filters cannot be asked: they look at the
// cluster as it is.
func (i *image) solve() plan.Decision {
	return i.planning.solve(i.picture, func(role int, node string, _ int) bool {
		return mayStand(i.trials.roles[role].pod, i.nodes[node])
	})
}

func (i *image) limits() []map[string]int {
	limits := make([]map[string]int, len(i.ask.Roles))
	for r := range i.ask.Roles {
		limits[r] = maps.Clone(i.ask.Roles[r].Limit)
	}
	return limits
}

// restrict keeps every role off the nodes, beside its former limits.
func (i *image) restrict(limits []map[string]int, nodes map[string]bool) {
	for r := range i.ask.Roles {
		i.ask.Roles[r].Limit = limits[r]
	}
	i.avoid(nodes)
}
