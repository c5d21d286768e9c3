// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// pace is the time between two batches of the victim.
	pace = 500 * time.Millisecond
	// warmUpBatches are created before the attack and not measured.
	warmUpBatches = 4
	// gangSize is the number of members of the victim's gangs.
	gangSize = 4
)

// victim creates a batch of pods every half second: a pod, a pod with a GPU, a gang of four, and
// a control pod for the other scheduler, which has no pods of the attacker. It deletes a batch
// once all its pods are bound.
type victim struct {
	ctx       context.Context
	rig       *rig
	namespace string
	scheduler string

	mu      sync.Mutex
	batches []*batch
	byPod   map[string]*batch
	// first is the first batch that is measured.
	first int
}

// batch has the times of the pods that are created together, by name.
type batch struct {
	number         int
	created, bound map[string]time.Time
}

// newVictim returns a victim that sees the bindings of its pods until ctx is done.
func newVictim(ctx context.Context, r *rig, namespace, scheduler string) (*victim, error) {
	v := &victim{ctx: ctx, rig: r, namespace: namespace, scheduler: scheduler, byPod: map[string]*batch{}}
	factory := informers.NewSharedInformerFactoryWithOptions(r.client, 0, informers.WithNamespace(namespace))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    v.see,
		UpdateFunc: func(_, object any) { v.see(object) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching the victim's pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced) {
		return nil, fmt.Errorf("listing the victim's pods: %w", ctx.Err())
	}
	return v, nil
}

// see records the time at which a pod has a node.
func (v *victim) see(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return
	}
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.byPod[pod.Name]
	if b == nil || !b.bound[pod.Name].IsZero() {
		return
	}
	b.bound[pod.Name] = now
	if len(b.bound) == len(podsOf(b.number)) {
		go v.remove(b.number)
	}
}

// podsOf returns the names of the pods of a batch.
func podsOf(number int) []string {
	names := []string{controlName(number), singleName(number), deviceName(number)}
	for member := range gangSize {
		names = append(names, memberName(number, member))
	}
	return names
}

// warmUp creates a few batches that are not measured, and waits until they are bound.
func (v *victim) warmUp() {
	count := 0
	v.createUntil(func(time.Time) bool { count++; return count > warmUpBatches })
	v.await(harness.Patience)
	v.first = len(v.batches)
}

// createUntil creates batches until done returns true.
func (v *victim) createUntil(done func(now time.Time) bool) {
	for next := time.Now(); !done(next) && v.ctx.Err() == nil; next = next.Add(pace) {
		time.Sleep(time.Until(next))
		b := v.add()
		go v.create(b)
	}
}

func (v *victim) add() *batch {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := &batch{number: len(v.batches), created: map[string]time.Time{}, bound: map[string]time.Time{}}
	v.batches = append(v.batches, b)
	for _, name := range podsOf(b.number) {
		v.byPod[name] = b
	}
	return b
}

// create creates the pods of a batch at the same time.
func (v *victim) create(b *batch) {
	device := deviceName(b.number)
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: device}}
	claim.Spec.Devices.Requests = []resourceapi.DeviceRequest{{
		Name:    "gpu",
		Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: fleet.ClassGPU, AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 1},
	}}
	_, err := v.rig.client.ResourceV1().ResourceClaims(v.namespace).Create(v.ctx, claim, metav1.CreateOptions{})
	control := v.pod(controlName(b.number))
	control.Spec.SchedulerName = controlOf(v.scheduler)
	pods := []*corev1.Pod{control, v.pod(singleName(b.number))}
	if err == nil {
		pods = append(pods, v.pod(device, using(device)))
	}
	for member := range gangSize {
		pods = append(pods, v.pod(memberName(b.number, member), inGang(gangName(b.number), gangSize)))
	}
	for _, pod := range pods {
		go func() {
			if _, err := v.rig.client.CoreV1().Pods(v.namespace).Create(v.ctx, pod, metav1.CreateOptions{}); err == nil {
				v.mu.Lock()
				defer v.mu.Unlock()
				b.created[pod.Name] = time.Now()
			}
		}()
	}
}

// pod returns a pod for the victim's nodes.
func (v *victim) pod(name string, options ...podOption) *corev1.Pod {
	return newPod(v.scheduler, name, append(options, tolerant, func(pod *corev1.Pod) {
		pod.Spec.NodeSelector = map[string]string{fleet.LabelFleet: victimFleet.Name}
	})...)
}

// remove deletes the objects of a batch.
func (v *victim) remove(number int) {
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}
	for _, name := range podsOf(number) {
		_ = v.rig.client.CoreV1().Pods(v.namespace).Delete(v.ctx, name, now)
	}
	_ = v.rig.client.ResourceV1().ResourceClaims(v.namespace).Delete(v.ctx, deviceName(number), metav1.DeleteOptions{})
}

// await waits until all pods are bound, at most for this long.
func (v *victim) await(patience time.Duration) {
	for end := time.Now().Add(patience); time.Now().Before(end) && v.ctx.Err() == nil; time.Sleep(harness.PollStep) {
		if v.complete() {
			return
		}
	}
}

func (v *victim) complete() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, b := range v.batches {
		if len(b.bound) < len(podsOf(b.number)) {
			return false
		}
	}
	return true
}

// result waits for the last pods and returns what all of the measured ones waited.
func (v *victim) result(patience time.Duration) result {
	v.await(patience)
	v.mu.Lock()
	defer v.mu.Unlock()
	found, now := result{}, time.Now()
	for _, b := range v.batches[v.first:] {
		if len(b.created) < len(podsOf(b.number)) {
			found.uncreated++
			continue
		}
		if len(b.bound) < len(b.created) {
			found.unbound++
		}
		control := b.wait(now, controlName(b.number))
		members := podsOf(b.number)[3:]
		found.control = append(found.control, control)
		found.single = append(found.single, net(b.wait(now, singleName(b.number)), control), net(b.wait(now, deviceName(b.number)), control))
		found.gang = append(found.gang, net(b.wait(now, members...), control))
	}
	return found
}

// net is a wait without that of the control pod.
func net(wait, control time.Duration) time.Duration { return max(wait-control, 0) }

// wait returns the time from the creation of the last of these pods to their last binding, or
// to now if a pod is not bound.
func (b *batch) wait(now time.Time, names ...string) time.Duration {
	var created, bound time.Time
	for _, name := range names {
		created = later(created, b.created[name])
		at, ok := b.bound[name]
		if !ok {
			at = now
		}
		bound = later(bound, at)
	}
	return max(bound.Sub(created), 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
