// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// keepLimit is how long nodes are kept for one gang at a stretch. If the pods on
// them never end, others get their chance: they may pass the gang for maxBypass
// again before it has nodes kept anew.
const keepLimit = 24 * time.Hour

// turn is how a gang for which there is no room stands to those behind it.
type turn struct {
	// blocked says that the planner found no room, and that the gang was not
	// placed since.
	blocked bool
	// passed is when the first gang behind this one was placed all the same.
	passed time.Time
	// kept are the nodes that are kept for it since keptAt.
	kept   map[string]bool
	keptAt time.Time
	// imagined is when a cluster without our pods was last looked at for it.
	imagined time.Time
	// heldBack says that it was refused for the sake of another gang's turn.
	heldBack bool
}

// precedes says that a stands before b in the queue.
func precedes(a, b *record) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	if !a.order.Equal(b.order) {
		return a.order.Before(b.order)
	}
	return compareKeys(a.key, b.key) < 0
}

// pass notes that a gang is placed: blocked ones before it in the queue are
// passed, and its own waiting is over. Who joins a gang that runs passes nobody.
func (b *book) pass(rec *record, now time.Time) {
	rec.turn = turn{}
	if rec.running > 0 {
		return
	}
	for _, other := range b.records {
		if other.turn.blocked && other.turn.passed.IsZero() && precedes(other, rec) {
			other.turn.passed = now
		}
	}
}

// keeping returns the gang that nodes are kept for, nil if there is none. One
// that lost members keeps nothing until it is whole again.
func (b *book) keeping() *record {
	k := b.keeper
	if k == nil || b.records[k.key] != k || len(k.turn.kept) == 0 || !k.whole {
		return nil
	}
	return k
}

// block notes that there is no room for a gang. It says whether nodes may be kept
// for it now, and how many are: none any more if one of them does not exist.
func (b *book) block(key gangs.Key, maxBypass time.Duration, now time.Time, exists func(string) bool) (due bool, kept int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.running > 0 || maxBypass == 0 {
		return false, 0
	}
	rec.turn.blocked = true
	if b.keeping() == rec {
		for node := range rec.turn.kept {
			if !exists(node) {
				rec.turn.kept, rec.turn.imagined = nil, time.Time{}
			}
		}
		if kept = len(rec.turn.kept); kept > 0 {
			return false, kept
		}
	}
	if !rec.turnDue(b, maxBypass, now) {
		return false, 0
	}
	rec.turn.imagined = now
	return true, 0
}

// turnDue says that a gang was passed for long enough, and nobody else has nodes
// kept for it.
func (r *record) turnDue(b *book, maxBypass time.Duration, now time.Time) bool {
	return maxBypass > 0 && r.turn.blocked && !r.turn.passed.IsZero() && now.Sub(r.turn.passed) >= maxBypass &&
		b.keeping() == nil && now.Sub(r.turn.imagined) >= imagineAgain
}

// keep has the nodes kept for the gang.
func (b *book) keep(key gangs.Key, nodes map[string]bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[key]; rec != nil {
		rec.turn.kept, rec.turn.keptAt = nodes, now
		b.keeper = rec
	}
}

// keptFrom returns the nodes that a gang must leave to another one, and which that
// is. A gang that runs already leaves nothing: its members join it. stand speaks for
// a gang that is not in the book.
func (b *book) keptFrom(key gangs.Key, stand *record) (map[string]bool, gangs.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec, k := cmp.Or(b.records[key], stand), b.keeping()
	if rec == nil || k == nil || rec == k || rec.running > 0 || !precedes(k, rec) {
		return nil, gangs.Key{}
	}
	return k.turn.kept, k.key
}

// keptFromPod is keptFrom for a pod without a gang. It notes the pod, to be woken.
func (b *book) keptFromPod(pod *v1.Pod) map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.keeping()
	if k == nil || pod.Spec.SchedulerName != b.profile || corev1helpers.PodPriority(pod) > k.priority ||
		corev1helpers.PodPriority(pod) == k.priority && pod.CreationTimestamp.Time.Before(k.order) {
		return nil
	}
	b.aside[pod.UID] = pod
	return k.turn.kept
}

// holdBack notes that a gang was refused for the sake of another one's turn.
func (b *book) holdBack(key gangs.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[key]; rec != nil {
		rec.turn.heldBack = true
	}
}

// endTurn ends a turn that has lasted too long, and returns those who were held
// back for a turn that is over.
func (b *book) endTurn(now time.Time) []*v1.Pod {
	if k := b.keeping(); k != nil {
		if now.Sub(k.turn.keptAt) <= keepLimit {
			return nil
		}
		k.turn, b.keeper = turn{blocked: true}, nil
	}
	pods := slices.Collect(maps.Values(b.aside))
	clear(b.aside)
	for _, rec := range b.records {
		if rec.turn.heldBack {
			rec.turn.heldBack = false
			pods = append(pods, rec.askAgain()...)
		}
	}
	return pods
}

// giveWay plans a gang anew that would take nodes which are kept for another one.
// If it can go nowhere else, it returns the sentence that says so.
func (p *planning) giveWay(picture *plan.Snapshot, decision *plan.Decision) string {
	key := p.gang.Key
	kept, keeper := p.plugin.book.keptFrom(key, p.stand)
	taken := sets.New[string]()
	for _, a := range decision.Assignments {
		if kept[a.Node] {
			taken.Insert(a.Node)
		}
	}
	if len(taken) == 0 {
		return ""
	}
	p.avoid(kept)
	if *decision = p.solve(picture, p.trials.fits); decision.Placed {
		return ""
	}
	p.plugin.book.holdBack(key)
	return key.Messagef("held back: it would take %d of %d nodes that are kept for %s, which later gangs have passed for longer than maxBypass (%v)",
		len(taken), len(kept), keeper, p.plugin.args.MaxBypass)
}

// avoid keeps every role off the nodes.
func (p *planning) avoid(nodes map[string]bool) {
	for i := range p.ask.Roles {
		role := &p.ask.Roles[i]
		limit := maps.Clone(role.Limit)
		if limit == nil {
			limit = make(map[string]int, len(nodes))
		}
		for node := range nodes {
			limit[node] = 0
		}
		role.Limit = limit
	}
}

// keepNodes keeps nodes for a gang that was passed for too long, if it could stand
// on them without the pods of this scheduler. It returns what that adds to the
// gang's sentence.
func (g *Gang) keepNodes(p *planning, nodes []fwk.NodeInfo) (string, error) {
	due, kept := g.book.block(p.gang.Key, g.args.MaxBypass, time.Now(), func(node string) bool {
		_, err := g.nodes.Get(node)
		return err == nil
	})
	if due {
		found, err := g.cheapestNodes(p, nodes)
		if err != nil {
			return "", fmt.Errorf("finding nodes to keep for gang %s: %w", p.gang.Key, err)
		}
		if kept = len(found); kept > 0 {
			g.logger.V(2).Info("Nodes are kept for a gang that others passed", "gang", p.gang.Key, "nodes", kept)
			g.book.keep(p.gang.Key, found, time.Now())
		}
	}
	if kept == 0 {
		return "", nil
	}
	return fmt.Sprintf("; %d nodes are kept for it, because later gangs have passed it for longer than maxBypass (%v)", kept, g.args.MaxBypass), nil
}

// cheapestNodes finds nodes on which the gang could stand if the pods of this
// scheduler ended there, among the fewest nodes that must be cleared: it tries the
// 1, 2, 4, ... that have the fewest such pods.
func (g *Gang) cheapestNodes(p *planning, nodes []fwk.NodeInfo) (map[string]bool, error) {
	busy, gone := g.ownPods(nodes)
	image, err := g.imagine(p.trials.ctx, p.request, nodes, gone)
	if err != nil || image == nil {
		return nil, err
	}
	decision := image.solve()
	if !decision.Placed {
		return nil, nil
	}
	limits := image.limits()
	for k := 1; k < len(busy); k *= 2 {
		others := make(map[string]bool, len(busy)-k)
		for _, node := range busy[k:] {
			others[node] = true
		}
		image.restrict(limits, others)
		if fewer := image.solve(); fewer.Placed {
			decision = fewer
			break
		}
	}
	found := map[string]bool{}
	for _, a := range decision.Assignments {
		found[a.Node] = true
	}
	return found, nil
}

// ownPods returns the pods that this scheduler has on nodes, and those nodes, the
// ones with the fewest of them first.
func (g *Gang) ownPods(nodes []fwk.NodeInfo) (busy []string, pods []*v1.Pod) {
	count := map[string]int{}
	for _, info := range nodes {
		for _, one := range info.GetPods() {
			if pod := one.GetPod(); pod.Spec.SchedulerName == g.book.profile {
				pods = append(pods, pod)
				count[info.Node().Name]++
			}
		}
	}
	busy = slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		if count[a] != count[b] {
			return count[a] - count[b]
		}
		if a < b {
			return -1
		}
		return 1
	})
	return busy, pods
}

// stepAside keeps a pod without a gang off nodes that are kept for one.
func stepAside(kept map[string]bool, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if len(kept) == 0 {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	left := sets.New[string]()
	for _, info := range nodes {
		if name := info.Node().Name; !kept[name] {
			left.Insert(name)
		}
	}
	return &fwk.PreFilterResult{NodeNames: left}, nil
}
