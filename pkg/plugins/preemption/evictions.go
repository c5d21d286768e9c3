// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"context"
	"errors"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/evict"
	"github.com/dovetail-dev/dovetail/pkg/evict/requests"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// preemptor is for whom pods are evicted.
type preemptor struct {
	// what names it, for messages: "pod ml/a" or "PodGroup ml/a".
	what     string
	priority int32
	// pods are its pods. They stay out of the queue during the evictions, and are activated if
	// the evictions fail.
	pods []*v1.Pod
	// group is set for PodGroups. They are activated after the evictions, too: the events of
	// their victims do not always return them to the queue.
	group bool
}

func podPreemptor(pod *v1.Pod) preemptor {
	return preemptor{what: "pod " + pod.Namespace + "/" + pod.Name, priority: corev1helpers.PodPriority(pod), pods: []*v1.Pod{pod}}
}

// evictions has victims evicted while the scheduler goes on. It keeps preemptors out of the queue
// meanwhile, so that they do not choose other victims.
type evictions struct {
	handle fwk.Handle
	pods   corelisters.PodLister
	logger klog.Logger

	mu sync.Mutex
	// preempting has the pods of the preemptors. Each has the last victim once only this one is
	// not evicted yet: its deletion may return the preemptor to the queue.
	preempting map[types.UID]*v1.Pod
}

func newEvictions(handle fwk.Handle, pods corelisters.PodLister, logger klog.Logger) *evictions {
	return &evictions{handle: handle, pods: pods, logger: logger, preempting: map[types.UID]*v1.Pod{}}
}

// running reports whether victims of a preemptor's pod are still to be evicted.
func (e *evictions) running(uid types.UID) bool {
	e.mu.Lock()
	last, known := e.preempting[uid]
	e.mu.Unlock()
	if !known || last == nil {
		return known
	}
	now, err := e.pods.Pods(last.Namespace).Get(last.Name)
	return err == nil && now.UID == last.UID && now.DeletionTimestamp == nil
}

// start evicts the pods of the units in the background. prefer is true if PodDisruptionBudgets may
// be broken.
func (e *evictions) start(p preemptor, units []*evict.Unit, prefer bool) {
	if len(units) == 0 {
		return // the preemptor waits for pods that are leaving
	}
	e.note(p, nil)
	e.logger.V(2).Info("Evicting pods of lower priority", "preemptor", p.what, "units", len(units), "first", units[0].Name)
	go func() {
		err := e.evict(p, units, requests.Evictions{Client: e.handle.ClientSet(), Recorder: e.handle.EventRecorder(), PreferBudgets: prefer})
		e.mu.Lock()
		for _, pod := range p.pods {
			delete(e.preempting, pod.UID)
		}
		e.mu.Unlock()
		if err == nil && p.group {
			time.AfterFunc(settleStep, func() { e.handle.Activate(e.logger, cluster.ByName(p.pods...)) })
		}
		if err != nil {
			e.logger.Info("Could not evict all pods for a pod of higher priority", "preemptor", p.what, "err", err)
			time.AfterFunc(retryAfter, func() { e.handle.Activate(e.logger, cluster.ByName(p.pods...)) })
		}
	}()
}

// note records the preemptor's last victim, nil while others are to be evicted before it.
func (e *evictions) note(p preemptor, last *v1.Pod) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, pod := range p.pods {
		e.preempting[pod.UID] = last
	}
}

const (
	// retryAfter is how long a preemptor waits after evictions that failed.
	retryAfter = 5 * time.Second
	// Between the question about all victims and the evictions, a budget may have changed. Parts
	// of a gang are gone by then, so the eviction of the rest is requested again for a while.
	evictionTries = 20
	evictionPause = 3 * time.Second
)

// evict asks the API server about all victims, then evicts them. If one is refused, nobody is
// evicted.
func (e *evictions) evict(p preemptor, units []*evict.Unit, with requests.Evictions) error {
	ctx := klog.NewContext(context.Background(), e.logger)
	var all []*v1.Pod
	for _, unit := range units {
		all = append(all, podsOf(unit)...)
	}
	refusal, err := with.Try(ctx, all)
	if err != nil {
		return err
	}
	if refusal != "" {
		metrics.EvictionRefused(e.handle.ProfileName())
		return errors.New(refusal)
	}
	messages := make([]string, len(units))
	for i, unit := range units {
		pods := podsOf(unit)
		messages[i] = requests.Message(p.what, p.priority, e.devicesOf(pods), unit.Lost)
		if err := with.Explain(ctx, pods, messages[i]); err != nil {
			return err
		}
	}
	var errs []error
	for i, unit := range units {
		pods, message := podsOf(unit), messages[i]
		if i == len(units)-1 {
			last := len(pods) - 1
			errs = append(errs, e.insist(ctx, with, pods[:last], message))
			e.note(p, pods[last])
			pods = pods[last:]
		}
		errs = append(errs, e.insist(ctx, with, pods, message))
		metrics.Preempted(e.handle.ProfileName(), len(unit.Pods))
	}
	return errors.Join(errs...)
}

// insist evicts pods. It tries again for a while if the API server refuses.
func (e *evictions) insist(ctx context.Context, with requests.Evictions, pods []*v1.Pod, message string) error {
	refusal, err := with.Evict(ctx, pods, message)
	for try := 1; try < evictionTries && (refusal != "" || err != nil); try++ {
		time.Sleep(evictionPause)
		refusal, err = with.Evict(ctx, e.left(pods), message)
	}
	if err == nil && refusal != "" {
		err = errors.New(refusal)
	}
	return err
}

// left returns the pods that still exist and are not being deleted.
func (e *evictions) left(pods []*v1.Pod) []*v1.Pod {
	var out []*v1.Pod
	for _, pod := range pods {
		if now, err := e.pods.Pods(pod.Namespace).Get(pod.Name); err == nil && now.UID == pod.UID && now.DeletionTimestamp == nil {
			out = append(out, now)
		}
	}
	return out
}

func podsOf(unit *evict.Unit) []*v1.Pod {
	pods := make([]*v1.Pod, len(unit.Pods))
	for i := range unit.Pods {
		pods[i] = unit.Pods[i].Info.GetPod()
	}
	return pods
}

// devicesOf returns the number of devices that the pods have by their claims.
func (e *evictions) devicesOf(pods []*v1.Pod) int {
	manager, sum := e.handle.SharedDRAManager(), 0
	if manager == nil {
		return 0
	}
	for _, pod := range pods {
		for name := range resourceclaim.PodClaims(pod) {
			if claim, err := manager.ResourceClaims().Get(pod.Namespace, name); err == nil && claim.Status.Allocation != nil {
				sum += len(claim.Status.Allocation.Devices.Results)
			}
		}
	}
	return sum
}
