// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// An eviction that was refused is asked for again after evictionPause, and then
// after twice as long each time: budgets open when pods elsewhere become ready,
// which takes seconds to minutes.
const (
	evictionPause    = time.Second
	maxEvictionPause = 30 * time.Second
)

// loss is what a gang that ran has lost.
type loss struct {
	// since is when a member went that the quorum needs; zero while it is met.
	since time.Time
	// imagined is when another place for the whole gang was last looked for.
	imagined time.Time
	// healing says that the members that are left are being evicted. Nobody joins
	// the gang until they are gone, or it would come back where it cannot be whole.
	healing bool
	// after is the healAfter that began it.
	after time.Duration
	// next is when evictions are asked for again, pause how long that is after the
	// last time.
	next  time.Time
	pause time.Duration
	// budgeted is a member that a PodDisruptionBudget keeps.
	budgeted string
}

// judge ends a loss that is made good, or a gang that has nothing left to lose.
func (l *loss) judge(quorum bool, running int) {
	if quorum || running == 0 {
		*l = loss{}
	}
}

// noteLoss notes a member that stood and does not count any more. It says whether
// the gang was being healed.
func (b *book) noteLoss(rec *record, gone *v1.Pod) (healing bool) {
	healing = rec.loss.healing
	if !gangs.Placed(gone) || done(gone) {
		return healing
	}
	g, v, err := b.look(rec)
	if err == nil && rec.running > 0 && v.Placed < g.Min && rec.loss.since.IsZero() {
		rec.loss.since = time.Now()
	}
	return healing
}

// regain looks whether a member that came to stand made a loss good.
func (b *book) regain(rec *record, old, pod *v1.Pod) {
	if !rec.loss.since.IsZero() && gangs.Placed(pod) && (old == nil || !gangs.Placed(old)) {
		b.evaluate(rec)
	}
}

// healed returns the members to wake if what was left of the gang is gone, so that
// it may be placed whole.
func (b *book) healed(rec *record) []*v1.Pod {
	if rec.loss.healing || rec.ready == rec.placed || !b.evaluate(rec) {
		return nil
	}
	return rec.pending()
}

// lossDue says that a gang has lacked members for long enough to look for another
// place.
func (r *record) lossDue(healAfter time.Duration, now time.Time) bool {
	return healAfter > 0 && !r.loss.healing && !r.loss.since.IsZero() &&
		now.Sub(r.loss.since) >= healAfter && now.Sub(r.loss.imagined) >= imagineAgain
}

// healing is the sentence on a gang whose members are being evicted, or "".
func (r *record) healing() string {
	if !r.loss.healing {
		return ""
	}
	text := fmt.Sprintf("gang %s lost members and found no room for others within healAfter (%v): the %d that are left are being evicted, so that it is placed whole elsewhere",
		r.key, r.loss.after, r.running)
	if r.loss.budgeted != "" {
		text += "; a PodDisruptionBudget does not allow it yet for pod " + r.loss.budgeted
	}
	return text
}

// broken is a gang that runs without a quorum.
type broken struct {
	// due says that it is time to look for another place.
	due bool
	// left are the members that run.
	left []*v1.Pod
	// everybody is the gang with those as if they had no place.
	everybody request
}

// broken returns how a gang stands to its loss, nil if it has none.
func (b *book) broken(key gangs.Key, healAfter time.Duration, now time.Time) *broken {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || healAfter == 0 || rec.loss.since.IsZero() || rec.attempt != nil {
		return nil
	}
	g, v, err := b.look(rec)
	if err != nil || rec.lacks(g, v) || rec.loss.since.IsZero() {
		return nil // members that do not exist find no place anywhere
	}
	one := &broken{due: rec.lossDue(healAfter, now), left: rec.runners(g)}
	if one.due {
		rec.loss.imagined = now
	}
	one.everybody = request{gang: g, done: map[string]int{}, holds: b.holds(key)}
	for _, m := range rec.sorted() {
		switch {
		case !g.Has(m) || !gangs.Live(m.Pod):
		case done(m.Pod):
			one.everybody.done[m.Role]++
		case gangs.Placed(m.Pod) || gangs.Ready(m.Pod):
			one.everybody.members = append(one.everybody.members, m)
		}
	}
	return one
}

// lacks says that too few members exist for a quorum.
func (r *record) lacks(g gangs.Gang, v gangs.Readiness) bool {
	if r.native != nil {
		return v.Waiting != ""
	}
	return v.Exist < g.Min
}

// runners returns the members that stand on nodes, by name.
func (r *record) runners(g gangs.Gang) []*v1.Pod {
	var pods []*v1.Pod
	for _, m := range r.sorted() {
		if g.Has(m) && gangs.Live(m.Pod) && gangs.Placed(m.Pod) && !done(m.Pod) {
			pods = append(pods, m.Pod)
		}
	}
	return pods
}

// beginHealing closes the gang to everybody until what is left of it is gone.
func (b *book) beginHealing(key gangs.Key, after time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec := b.records[key]
	if rec == nil || rec.loss.since.IsZero() || rec.loss.healing || rec.attempt != nil {
		return false
	}
	rec.loss.healing, rec.loss.after, rec.whole = true, after, false
	return true
}

// evictees returns, of each gang that is healed and whose next try is due, the
// members that are still to be evicted.
func (b *book) evictees(now time.Time) map[gangs.Key][]*v1.Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all map[gangs.Key][]*v1.Pod
	for key, rec := range b.records {
		if !rec.loss.healing || now.Before(rec.loss.next) {
			continue
		}
		g, _, err := b.look(rec)
		if err != nil || !rec.loss.healing {
			continue
		}
		rec.loss.pause = min(max(evictionPause, 2*rec.loss.pause), maxEvictionPause)
		rec.loss.next = now.Add(rec.loss.pause)
		if all == nil {
			all = map[gangs.Key][]*v1.Pod{}
		}
		all[key] = rec.runners(g)
	}
	return all
}

// budgeted notes the member that a budget keeps, "" if none does.
func (b *book) budgeted(key gangs.Key, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec := b.records[key]; rec != nil {
		rec.loss.budgeted = name
	}
}

// heal moves a gang that lost members elsewhere, when there has been no room for
// others for long enough and there is a place for the whole gang. It returns what
// that adds to the gang's sentence.
func (g *Gang) heal(p *planning, nodes []fwk.NodeInfo) (string, error) {
	key, after := p.gang.Key, g.args.HealAfter
	one := g.book.broken(key, after, time.Now())
	if one == nil {
		return "", nil
	}
	for _, pod := range one.left {
		if metav1.GetControllerOfNoCopy(pod) == nil {
			return fmt.Sprintf("; the %d members that run stay where they are, because no controller would replace pod %s", len(one.left), pod.Name), nil
		}
	}
	if !one.due {
		return fmt.Sprintf("; if nothing changes within healAfter (%v), the %d members that run are evicted to place the gang whole elsewhere", after, len(one.left)), nil
	}
	elsewhere, err := g.imagine(p.trials.ctx, one.everybody, nodes, one.left)
	if err != nil {
		return "", fmt.Errorf("looking for another place for gang %s: %w", key, err)
	}
	if elsewhere == nil || !elsewhere.solve().Placed {
		return fmt.Sprintf("; the %d members that run stay where they are, because the whole gang fits nowhere else either", len(one.left)), nil
	}
	if g.book.beginHealing(key, after) {
		g.logger.V(2).Info("Evicting what is left of a gang that lost members", "gang", key, "members", len(one.left))
		g.report.moves(key)
	}
	return "", nil
}

// evictDue asks for the eviction of what is left of every gang that is to be moved.
func (g *Gang) evictDue(ctx context.Context, now time.Time) {
	for key, pods := range g.book.evictees(now) {
		budgeted := ""
		for _, pod := range pods {
			if !g.evictPod(ctx, key, pod) {
				budgeted = pod.Name
			}
		}
		g.book.budgeted(key, budgeted)
		g.report.later(key)
	}
}

// evictPod says false if a budget does not allow it now.
func (g *Gang) evictPod(ctx context.Context, key gangs.Key, pod *v1.Pod) bool {
	err := g.handle.ClientSet().PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case err == nil:
		metrics.Evicted(g.handle.ProfileName())
		g.report.evicted(key, pod)
	case apierrors.IsTooManyRequests(err):
		return false
	case !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
		g.logger.Error(err, "Could not evict a member of a gang that is to be placed elsewhere", "gang", key, "pod", klog.KObj(pod))
	}
	return true
}

// noRoom is what follows when the planner has found no room: a gang that lost
// members may have to move, and one that waits for the first time gets its turn.
// It returns what that adds to the gang's sentence.
func (g *Gang) noRoom(p *planning, nodes []fwk.NodeInfo, heldBack bool) (string, error) {
	if heldBack {
		return "", nil
	}
	after, err := g.heal(p, nodes)
	if err != nil || after != "" {
		return after, err
	}
	return g.keepNodes(p, nodes)
}
