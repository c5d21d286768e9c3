// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package room

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/evict"
	"github.com/dovetail-dev/dovetail/pkg/evict/requests"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// Options has what a Maker works with.
type Options struct {
	Handle  fwk.Handle
	Args    *config.GangArgs
	Reader  evict.Reader
	Tracker *gangstate.Tracker
	Placer  *placement.Placer
	// Apply carries out the effects of a state change.
	Apply  func(gangstate.Effects)
	Logger klog.Logger
}

// Maker makes room for the gangs of a profile.
type Maker struct {
	Options
	rules     evict.Rules
	evictions requests.Evictions
	pods      corelisters.PodLister
	budgets   policylisters.PodDisruptionBudgetLister
	// mu guards asking: the gangs for which requests to evict pods are under way.
	mu     sync.Mutex
	asking map[gangs.Key]bool
}

// New returns a Maker.
func New(o Options) *Maker {
	informers := o.Handle.SharedInformerFactory()
	m := &Maker{
		Options: o, asking: map[gangs.Key]bool{}, pods: informers.Core().V1().Pods().Lister(),
		budgets:   informers.Policy().V1().PodDisruptionBudgets().Lister(),
		evictions: requests.Evictions{Client: o.Handle.ClientSet(), Recorder: o.Handle.EventRecorder(), PreferBudgets: o.Args.Budgets == config.BudgetsPrefer},
	}
	m.rules = evict.Rules{
		Reader: o.Reader, MinRuntime: o.Args.MinRuntime, AllowNever: o.Args.AllowNeverPreempt,
		PreferBudgets: o.Args.Budgets == config.BudgetsPrefer, Bound: m.bound, Recent: o.Tracker.Recent,
	}
	if o.Args.Victims == config.VictimsOwn {
		m.rules.Profile = o.Handle.ProfileName()
	}
	return m
}

// bound reports whether the API server knows the pod's node.
func (m *Maker) bound(pod *v1.Pod) bool {
	known, err := m.pods.Pods(pod.Namespace).Get(pod.Name)
	return err == nil && known.UID == pod.UID && known.Spec.NodeName != ""
}

// exists reports whether the informer has the pod.
func (m *Maker) exists(namespace, name string, uid types.UID) bool {
	known, err := m.pods.Pods(namespace).Get(name)
	return err == nil && known.UID == uid
}

// Search searches for the pods to evict for a gang that has no room.
func (m *Maker) Search(ctx context.Context, request gangs.Request, nodes []fwk.NodeInfo) (gangstate.Room, error) {
	began := time.Now()
	if len(request.Members) == 0 {
		return gangstate.Room{}, nil
	}
	key := request.Gang.Key
	priority := corev1helpers.PodPriority(request.Members[0].Pod)
	rules := m.rules
	rules.Spared = func(name string) string { return m.Tracker.Spared(key, name) }
	budgets, err := m.budgets.List(labels.Everything())
	if err != nil {
		return gangstate.Room{}, err
	}
	units := rules.Units(nodes, priority, key, budgets, began)
	found, err := m.Placer.Clear(ctx, request, &units, nodes, m.exists)
	if errors.Is(err, cluster.ErrOutdated) {
		return gangstate.Room{Searched: true, MayChange: true, Took: time.Since(began)}, nil
	}
	if err != nil {
		return gangstate.Room{}, err
	}
	took := time.Since(began)
	room := gangstate.Room{
		Searched: true, Found: found.Placed && len(found.Victims)+len(found.Awaited) > 0, Assignment: found.Assignment,
		Awaited: found.Awaited, Refusal: found.Refusal, Took: took,
		MayChange: units.Unsettled || len(units.Protected) > 0,
	}
	for i := range found.Victims {
		unit := &found.Victims[i]
		victim := gangstate.Victim{Name: unit.Name, Devices: unit.Devices, Lost: unit.Lost}
		for _, pod := range unit.Pods {
			victim.Pods = append(victim.Pods, pod.Info.GetPod())
		}
		room.Victims = append(room.Victims, victim)
	}
	if !room.Found && len(units.Protected) > 0 {
		room.Refusal = protectedSentence(room.Refusal, units.Protected)
	}
	metrics.Cleared(m.Handle.ProfileName(), room.Found, found.Proven, took)
	m.Logger.V(2).Info("Searched for pods to evict", "gang", key, "found", room.Found, "victims", len(room.Victims), "proven", found.Proven, "took", took)
	return room, nil
}

// protectedSentence adds to the refusal of a search who was not considered.
func protectedSentence(refusal string, protected []evict.Unit) string {
	first := &protected[0]
	text := first.Name + " " + first.Protected
	if more := len(protected) - 1; more > 0 {
		text += ", and " + others(more) + " may not be evicted either"
	}
	if refusal == "" {
		return "nobody may be evicted for it: " + text
	}
	return refusal + "; " + text
}

// Tick requests the evictions that are still to come.
func (m *Maker) Tick(ctx context.Context) {
	for _, key := range m.Tracker.ClearingGangs() {
		m.Continue(ctx, key)
	}
}

// Continue requests the evictions of the victims of a gang that still run, in the background.
func (m *Maker) Continue(ctx context.Context, key gangs.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asking[key] {
		return
	}
	m.asking[key] = true
	go func() {
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.asking, key)
		}()
		m.request(ctx, key)
	}()
}

// request requests the evictions of the victims of a gang. Before the first eviction it asks the
// API server about all of them. If one is refused, nobody is evicted.
func (m *Maker) request(ctx context.Context, key gangs.Key) {
	victims, first := m.Tracker.ClearingVictims(key)
	pods := notDeleted(victims, m.pods)
	if len(pods) == 0 && !first {
		return
	}
	if first {
		refusal, err := m.evictions.Try(ctx, allOf(pods))
		if err != nil {
			m.Logger.Error(err, "Could not ask whether pods may be evicted for a gang", "gang", key)
			return // Tick asks again
		}
		if refusal != "" {
			metrics.EvictionRefused(m.Handle.ProfileName())
			m.Apply(m.Tracker.ClearingRefused(key, refusal, time.Now()))
			return
		}
		if !m.Tracker.ClearingBegun(key, time.Now()) {
			return
		}
		m.Logger.V(2).Info("Evicting pods of lower priority", "gang", key, "pods", len(allOf(pods)))
	}
	priority := m.Tracker.Priority(key)
	blocked := ""
	for i := range pods {
		message := requests.Message("gang "+key.String(), priority, pods[i].Devices, pods[i].Lost)
		refusal, err := m.evictions.Evict(ctx, pods[i].Pods, message)
		if err != nil {
			m.Logger.Error(err, "Could not evict pods for a gang", "gang", key)
			continue
		}
		if refusal != "" {
			blocked = refusal
			continue
		}
		metrics.Preempted(m.Handle.ProfileName(), len(pods[i].Pods))
	}
	m.Apply(m.Tracker.ClearingBlocked(key, blocked))
}

// notDeleted returns the victims, as the informer has them, without pods that are gone or being
// deleted.
func notDeleted(victims []gangstate.Victim, pods corelisters.PodLister) []gangstate.Victim {
	var out []gangstate.Victim
	for _, victim := range victims {
		left := victim
		left.Pods = nil
		for _, pod := range victim.Pods {
			known, err := pods.Pods(pod.Namespace).Get(pod.Name)
			if err == nil && known.UID == pod.UID && known.DeletionTimestamp == nil {
				left.Pods = append(left.Pods, known)
			}
		}
		if len(left.Pods) > 0 {
			out = append(out, left)
		}
	}
	return out
}

func allOf(victims []gangstate.Victim) []*v1.Pod {
	var pods []*v1.Pod
	for i := range victims {
		pods = append(pods, victims[i].Pods...)
	}
	return slices.Clip(pods)
}

func others(n int) string {
	if n == 1 {
		return "1 other"
	}
	return strconv.Itoa(n) + " others"
}
