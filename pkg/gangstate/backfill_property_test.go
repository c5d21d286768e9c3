// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	reservedNodes = 12
	reservedJobs  = 150
	bypassLimit   = time.Hour
	longestRun    = 3 * time.Hour
)

// reservedJob is a gang whose pods take a node each.
type reservedJob struct {
	key       gangs.Key
	pods      []*v1.Pod
	arrives   time.Time
	duration  time.Duration
	nodes     []string
	ends      time.Time
	bypassed  time.Time // as the tracker has it
	expected  time.Time // the start that was expected when the first nodes were reserved
	overtaken bool      // a gang that arrived earlier was placed since then
}

// reservedCluster runs gangs on nodes that hold one pod each, and reserves nodes as the tracker
// asks. It follows its answers exactly: a plan prefers nodes that are not reserved.
type reservedCluster struct {
	t       *testing.T
	tracker *Tracker
	now     time.Time
	free    map[string]bool
	waiting []*reservedJob
	running []*reservedJob
	// strictest is true if all jobs have honest limits.
	strictest  bool
	checked    int
	backfilled int
}

func newReservedCluster(t *testing.T, limits bool) *reservedCluster {
	c := &reservedCluster{t: t, now: epoch, free: map[string]bool{}, strictest: limits}
	c.tracker = New(Options{Profile: profile, Sources: gangs.Sources{gangs.NewLabelSource()}, MaxBypass: bypassLimit, Backfill: true})
	for i := range reservedNodes {
		c.free[fmt.Sprintf("n%02d", i)] = true
	}
	return c
}

// newReservedJobs returns random jobs. Run times are heavy-tailed without limits, and at most
// bypassLimit with limits: longer limits are not taken for run times.
func newReservedJobs(random *rand.Rand, limits bool) []*reservedJob {
	var jobs []*reservedJob
	at, gap := epoch, 12
	if limits { // the jobs are shorter
		gap = 6
	}
	for i := range reservedJobs {
		at = at.Add(time.Duration(random.IntN(gap)) * time.Minute)
		j := &reservedJob{arrives: at}
		j.duration = min(longestRun, time.Duration(1+15*math.Exp(1.2*random.NormFloat64()))*time.Minute)
		size := 1
		if random.IntN(10) == 0 {
			size = 4 + random.IntN(7)
		}
		annotations := map[string]string{gangs.GangMinAnnotation: strconv.Itoa(size)}
		if limits {
			j.duration = min(j.duration, bypassLimit/2)
			annotations[gangs.TimeLimitAnnotation] = (j.duration + time.Duration(random.Int64N(int64(j.duration)))).String()
		}
		for k := range size {
			name := fmt.Sprintf("j%03d-%d", i, k)
			j.pods = append(j.pods, &v1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "ml", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(at), Annotations: annotations,
					Labels: map[string]string{gangs.GangNameLabel: fmt.Sprintf("j%03d", i)},
				},
				Spec: v1.PodSpec{SchedulerName: profile},
			})
		}
		j.key, _ = gangs.NewLabelSource().Key(j.pods[0])
		jobs = append(jobs, j)
	}
	return jobs
}

func (c *reservedCluster) run(jobs []*reservedJob) {
	for len(jobs)+len(c.waiting)+len(c.running) > 0 {
		c.end()
		for ; len(jobs) > 0 && !jobs[0].arrives.After(c.now); jobs = jobs[1:] {
			for _, pod := range jobs[0].pods {
				c.tracker.Upsert(pod, c.now)
			}
			c.waiting = append(c.waiting, jobs[0])
		}
		c.tracker.Tick(c.now)
		for _, j := range slices.Clone(c.waiting) {
			c.schedule(j)
		}
		c.now = c.now.Add(time.Minute)
	}
}

// end ends the jobs whose time has come.
func (c *reservedCluster) end() {
	c.running = slices.DeleteFunc(c.running, func(j *reservedJob) bool {
		if j.ends.After(c.now) {
			return false
		}
		for i, pod := range j.pods {
			c.free[j.nodes[i]] = true
			c.tracker.Erase(pod, c.now)
		}
		return true
	})
}

func (c *reservedCluster) schedule(j *reservedJob) {
	step := c.tracker.Ask(j.key, c.now)
	if step.Plan == nil {
		c.t.Fatalf("%v is not planned: %s", j.key, step.Refusal)
	}
	answer := &Answer{Searched: true, Refusal: "no room", Nodes: 3 * reservedNodes}
	usable := slices.DeleteFunc(slices.Sorted(maps.Keys(c.free)), func(node string) bool { return step.Plan.Reserved[node] })
	switch n := len(j.pods); {
	case len(usable) >= n:
		answer.Placed, answer.Assignment = true, c.assign(j, step.Plan, usable)
	case len(c.free) >= n:
		answer.HeldBack = true
	case step.Plan.Reserve:
		answer.Reserve = c.firstStart(n, step.Plan.Ends)
	}
	if step.Plan.Backfill != "" && answer.Placed {
		c.backfilled++
	}
	c.tracker.Resolve(step.Plan, answer, j.pods[0].UID, c.now)
	if answer.Placed {
		c.start(j, &answer.Assignment)
	} else if g := c.tracker.gangs[j.key]; j.expected.IsZero() && c.tracker.reserving() == g {
		j.expected, j.bypassed = g.reservation.forecast.first, g.reservation.bypassed
	}
}

// assign places the job on free nodes. Those that are reserved for it or for nobody come first.
func (c *reservedCluster) assign(j *reservedJob, question *Question, usable []string) gangs.Assignment {
	var theirs map[string]bool
	if holder := c.tracker.reserving(); holder != nil && holder.key != j.key {
		theirs = holder.reservation.nodes
	}
	slices.SortStableFunc(usable, func(a, b string) int { return cmp.Compare(rankOf(theirs[a]), rankOf(theirs[b])) })
	a := gangs.Assignment{Nodes: map[types.UID]string{}, Roles: map[types.UID]gangs.RoleSignature{}, Short: map[string]int{}}
	for i, m := range question.Members {
		a.Nodes[m.Pod.UID] = usable[i]
		a.Roles[m.Pod.UID] = gangs.RoleSignature{Role: m.Role}
		a.Short[m.Role]++
	}
	return a
}

func rankOf(last bool) int {
	if last {
		return 1
	}
	return 0
}

// firstStart returns the nodes on which so many pods can start first.
func (c *reservedCluster) firstStart(n int, ends gangs.Forecast) gangs.Reservation {
	at := map[string]time.Time{}
	for node := range c.free {
		at[node] = ends.Now
	}
	for _, j := range c.running {
		_, end, _ := ends.Of(j.pods[0])
		for _, node := range j.nodes {
			at[node] = end
		}
	}
	byEnd := slices.SortedFunc(maps.Keys(at), func(a, b string) int { return cmp.Or(at[a].Compare(at[b]), cmp.Compare(a, b)) })
	r := gangs.Reservation{Nodes: map[string]bool{}, Start: at[byEnd[n-1]]}
	for _, node := range byEnd[:n] {
		r.Nodes[node] = true
	}
	return r
}

func (c *reservedCluster) start(j *reservedJob, a *gangs.Assignment) {
	c.check(j)
	for _, other := range c.waiting {
		other.overtaken = other.overtaken || !other.expected.IsZero() && j.arrives.Before(other.arrives)
	}
	j.ends = c.now.Add(j.duration)
	for i, pod := range j.pods {
		node := a.Nodes[pod.UID]
		delete(c.free, node)
		j.nodes = append(j.nodes, node)
		c.tracker.NextStep(j.key, pod.UID, pod.Name, c.now)
		c.tracker.Reserve(j.key, pod.UID, node)
		if permit, attempt := c.tracker.Permit(j.key, pod.UID); permit == PermitComplete {
			c.tracker.Open(attempt)
		}
		pod = placedOn(pod, node)
		pod.Status.Phase, pod.Status.StartTime = v1.PodRunning, &metav1.Time{Time: c.now}
		j.pods[i] = pod
	}
	for _, pod := range j.pods {
		c.tracker.Upsert(pod, c.now)
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(other *reservedJob) bool { return other == j })
	c.running = append(c.running, j)
}

// check is the oracle of invariant I12 for a gang that starts.
func (c *reservedCluster) check(j *reservedJob) {
	if j.expected.IsZero() || j.overtaken {
		return
	}
	c.checked++
	latest := j.expected
	if !c.strictest { // from then on nobody else is placed on its nodes without a limit
		latest = j.bypassed.Add(finalBypass*bypassLimit + longestRun)
	}
	if late := c.now.Sub(latest); late > time.Minute {
		c.t.Errorf("%v starts %v later than allowed: expected at %v, bypassed since %v, now %v", j.key, late, j.expected, j.bypassed, c.now)
	}
}

// Invariant I12: later gangs on reserved nodes never delay the gang beyond the start that
// honest limits promise, and wrong predictions delay it by a bounded time.
func TestBackfillDelaysNoGangForLong(t *testing.T) {
	for _, limits := range []bool{true, false} {
		t.Run(fmt.Sprintf("limits=%v", limits), func(t *testing.T) {
			checked, backfilled := 0, 0
			for seed := range uint64(25) {
				c := newReservedCluster(t, limits)
				c.run(newReservedJobs(rand.New(rand.NewPCG(seed, 1)), limits))
				checked, backfilled = checked+c.checked, backfilled+c.backfilled
			}
			t.Logf("%d gangs started after a reservation, %d gangs were backfilled", checked, backfilled)
			if checked < 20 || backfilled < 20 {
				t.Error("too few reservations to prove anything")
			}
		})
	}
}
