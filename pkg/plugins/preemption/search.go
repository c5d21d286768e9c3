// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/klog/v2"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	stock "k8s.io/kubernetes/pkg/scheduler/framework/preemption"

	"github.com/dovetail-dev/dovetail/pkg/evict"
)

// searchKey is the key of the search in the context that the stock plugin passes on.
type searchKey struct{}

func searchOf(ctx context.Context) *search {
	s, _ := ctx.Value(searchKey{}).(*search)
	return s
}

// nodeTrials is how the stock plugin's evaluator chooses victims on a node, and compares nodes.
type nodeTrials struct {
	*defaultpreemption.DefaultPreemption
}

var _ stock.Interface = nodeTrials{}

// SelectVictimsOnNode returns the pods to evict so that the preemptor fits on the node, those that
// are leaving included.
func (nodeTrials) SelectVictimsOnNode(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo, _ []*stock.DomainVictim, _ []*policyv1.PodDisruptionBudget) ([]*v1.Pod, int, *fwk.Status) {
	return searchOf(ctx).onNode(ctx, state, pod, node)
}

// OrderedScoreFuncs returns the functions that compare nodes by their victims.
func (nodeTrials) OrderedScoreFuncs(ctx context.Context, nodes map[string]*extenderv1.Victims) []func(string) int64 {
	return searchOf(ctx).scores(nodes)
}

// search is the search for the victims of a preemptor.
type search struct {
	handle fwk.Handle
	units  *evict.Units
	// index has the position of each unit in units, by name; touching has, by node, the units
	// with pods there.
	index    map[string]int
	touching map[string][]int
	// prefer is true if PodDisruptionBudgets may be broken.
	prefer bool
	// breaking is true if the search may evict what a gang needs to run. mayBreak is true if
	// there are such units.
	breaking, mayBreak bool

	mu     sync.Mutex
	chosen map[string][]int // by node
	// freed is a node on which the pod fits soon without any eviction, "" if there is none.
	freed string
}

func newSearch(handle fwk.Handle, units *evict.Units, prefer bool) *search {
	s := &search{handle: handle, units: units, prefer: prefer, index: map[string]int{}, touching: map[string][]int{}, chosen: map[string][]int{}}
	for i := range units.List {
		unit := &units.List[i]
		s.index[unit.Name] = i
		s.mayBreak = s.mayBreak || unit.Broken > 0
		for _, pod := range unit.Pods {
			node := pod.Node.Node().Name
			if at := s.touching[node]; len(at) == 0 || at[len(at)-1] != i {
				s.touching[node] = append(at, i)
			}
		}
	}
	return s
}

// maxTries is the number of times that the victims on a node are chosen anew because
// PodDisruptionBudgets do not allow to evict all of them.
const maxTries = 4

// onNode chooses the victims on a node. It changes neither its state nor its node.
func (s *search) onNode(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo) ([]*v1.Pod, int, *fwk.Status) {
	name := node.Node().Name
	spared := map[int]bool{}
	for range maxTries {
		t := trial{search: s, ctx: ctx, pod: pod, state: state.Clone(), node: node.Snapshot()}
		chosen, status := t.run(s.candidates(name, spared))
		if !status.IsSuccess() {
			return nil, 0, status
		}
		if len(chosen)+len(s.leavingOn(name)) == 0 {
			s.mu.Lock()
			s.freed = name
			s.mu.Unlock()
			return nil, 0, fwk.NewStatus(fwk.Unschedulable, "devices of pods that have ended are being freed")
		}
		budget, over := s.units.Overdrawn(chosen)
		if budget != nil && !s.prefer {
			for _, i := range over {
				spared[i] = true
			}
			continue
		}
		s.mu.Lock()
		s.chosen[name] = chosen
		s.mu.Unlock()
		breaches := len(over)
		for _, i := range chosen {
			breaches += int(s.units.List[i].Breaches)
		}
		return s.victimPods(name), breaches, nil
	}
	return nil, 0, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "PodDisruptionBudgets do not allow to evict all victims together")
}

// candidates returns the units that may leave for the node: those with pods there, and the members
// of their gangs that must leave before. Of these it omits the spared ones, and what must leave
// after a spared one.
func (s *search) candidates(node string, spared map[int]bool) []int {
	var out []int
	add := func(i int) {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	for _, i := range s.touching[node] {
		unit := &s.units.List[i]
		if unit.Leaving || spared[i] || unit.Broken > 0 && !s.breaking {
			continue
		}
		before := s.before(i)
		if slices.ContainsFunc(before, func(j int) bool { return spared[j] }) {
			continue
		}
		add(i)
		for _, j := range before {
			add(j)
		}
	}
	return out
}

// before returns the units that must leave before the unit.
func (s *search) before(i int) []int {
	var out []int
	for _, name := range s.units.List[i].After {
		if j, known := s.index[name]; known {
			out = append(out, j)
		}
	}
	return out
}

// leavingOn returns the pods that are leaving the node anyway.
func (s *search) leavingOn(node string) []int {
	return slices.DeleteFunc(slices.Clone(s.touching[node]), func(i int) bool { return !s.units.List[i].Leaving })
}

// victimsOn returns the units chosen for the node.
func (s *search) victimsOn(node string) []*evict.Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*evict.Unit
	for _, i := range s.chosen[node] {
		out = append(out, &s.units.List[i])
	}
	return out
}

// victimPods returns the pods of the chosen units, the most important first. Then follow the pods
// that are leaving: without victims these make the room.
func (s *search) victimPods(node string) []*v1.Pod {
	var pods []*v1.Pod
	for _, unit := range s.victimsOn(node) {
		for _, pod := range unit.Pods {
			pods = append(pods, pod.Info.GetPod())
		}
	}
	for _, i := range s.leavingOn(node) {
		pods = append(pods, s.units.List[i].Pods[0].Info.GetPod())
	}
	return pods
}

// byImportance orders units so that those come first which are put back first: the dearest. The
// gangs that break come before priorities: other victims make room if they can.
func (s *search) byImportance(i, j int) int {
	a, b := &s.units.List[i], &s.units.List[j]
	return cmp.Or(
		cmp.Compare(b.Breaches, a.Breaches), cmp.Compare(b.Broken, a.Broken), cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(b.Lost, a.Lost), cmp.Compare(b.Unowned, a.Unowned), cmp.Compare(len(b.Pods), len(a.Pods)), cmp.Compare(a.Name, b.Name),
	)
}

// inOrder sorts units by importance, but puts each gang before those of its members that must
// leave before it: whether they may stay depends on whether the gang stays.
func (s *search) inOrder(units []int) []int {
	units = slices.Clone(units)
	slices.SortFunc(units, s.byImportance)
	var out []int
	for _, i := range units {
		for _, gang := range units {
			if !slices.Contains(out, gang) && slices.Contains(s.before(gang), i) {
				out = append(out, gang)
			}
		}
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// scores returns functions that rate nodes, the most important first: by broken budgets, broken
// gangs, then as the stock plugin does, and last by the nodes' names.
func (s *search) scores(nodes map[string]*extenderv1.Victims) []func(string) int64 {
	sum := func(of func(*evict.Unit) int64) func(string) int64 {
		return func(node string) int64 {
			total := int64(0)
			for _, unit := range s.victimsOn(node) {
				total += of(unit)
			}
			return -total
		}
	}
	names := make([]string, 0, len(nodes))
	for name := range nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return []func(string) int64{
		func(node string) int64 { return -nodes[node].NumPDBViolations },
		sum(func(u *evict.Unit) int64 { return u.Broken }),
		func(node string) int64 {
			highest := int64(lowestPriority)
			for _, unit := range s.victimsOn(node) {
				highest = max(highest, int64(unit.Priority))
			}
			return -highest
		},
		sum(func(u *evict.Unit) int64 { return (int64(u.Priority) - lowestPriority) * int64(len(u.Pods)) }),
		sum(func(u *evict.Unit) int64 { return int64(len(u.Pods)) }),
		sum(func(u *evict.Unit) int64 { return u.Unowned }),
		sum(func(u *evict.Unit) int64 { return int64(u.Lost) }),
		func(node string) int64 { return -int64(slices.Index(names, node)) },
	}
}

// lowestPriority is below the priority of every pod.
const lowestPriority = -1 << 31

// trial is one choice of victims for a node. It changes its own state and node.
type trial struct {
	*search
	ctx   context.Context
	pod   *v1.Pod
	state fwk.CycleState
	node  fwk.NodeInfo
}

// run removes the units and the leaving pods, then puts back each unit with which the pod still
// fits, the most important first. It returns the units that stay removed.
func (t *trial) run(units []int) ([]int, *fwk.Status) {
	leaving := t.leavingOn(t.node.Node().Name)
	if len(units)+len(leaving) == 0 {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "No preemption victims found for incoming pod")
	}
	units = t.inOrder(units)
	for _, i := range slices.Concat(leaving, units) {
		if err := t.remove(i); err != nil {
			return nil, fwk.AsStatus(err)
		}
	}
	if status := t.fits(); !status.IsSuccess() {
		return nil, status
	}
	var chosen []int
	var must []int
	for _, i := range units {
		if slices.Contains(must, i) {
			chosen = append(chosen, i)
			continue
		}
		stays, err := t.putBack(i)
		if err != nil {
			return nil, fwk.AsStatus(err)
		}
		if !stays {
			chosen = append(chosen, i)
			must = append(must, t.before(i)...)
		}
	}
	slices.SortStableFunc(chosen, func(i, j int) int { return cmp.Compare(t.units.List[j].Priority, t.units.List[i].Priority) })
	return chosen, nil
}

func (t *trial) fits() *fwk.Status {
	return t.handle.RunFilterPluginsWithNominatedPods(t.ctx, t.state, t.pod, t.node)
}

// remove removes a unit's pods. Only the node of the trial changes; the state learns of pods on
// other nodes, too.
func (t *trial) remove(i int) error {
	for _, pod := range t.units.List[i].Pods {
		on := pod.Node
		if on.Node().Name == t.node.Node().Name {
			on = t.node
			if err := t.node.RemovePod(klog.FromContext(t.ctx), pod.Info.GetPod()); err != nil {
				return fmt.Errorf("removing a victim from a copy of its node: %w", err)
			}
		}
		if status := t.handle.RunPreFilterExtensionRemovePod(t.ctx, t.state, t.pod, pod.Info, on); !status.IsSuccess() {
			return status.AsError()
		}
	}
	return nil
}

// putBack puts back a unit's pods if the pod fits with them. It reports whether it does.
func (t *trial) putBack(i int) (bool, error) {
	for _, pod := range t.units.List[i].Pods {
		on := pod.Node
		if on.Node().Name == t.node.Node().Name {
			on = t.node
			t.node.AddPodInfo(pod.Info)
		}
		if status := t.handle.RunPreFilterExtensionAddPod(t.ctx, t.state, t.pod, pod.Info, on); !status.IsSuccess() {
			return false, status.AsError()
		}
	}
	if t.fits().IsSuccess() {
		return true, nil
	}
	return false, t.remove(i)
}
