// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// writers is the number of requests that the attacker sends at the same time.
const writers = 16

// way is a way to harm another namespace.
type way struct {
	name string
	// write writes the attacker's objects, and returns once all are written.
	write func(*attacker)
}

// attacker writes the objects of a way.
type attacker struct {
	// ctx ends the attack early.
	ctx       context.Context
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	scheduler string
	// namespace is the attacker's, victim the other.
	namespace, victim string
	// size is the number of pods of most ways, many that of the ways which are about numbers.
	size, many int
	// length is the time for which a way goes on that repeats the same writes.
	length time.Duration

	mu      sync.Mutex
	written int
	refused int
	// refusal is the last error of a refused write.
	refusal error
}

// count counts a write.
func (a *attacker) count(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.written++
	} else if a.ctx.Err() == nil {
		a.refused++
		a.refusal = err
	}
}

// each calls write for 0 to n-1, for several at the same time.
func (a *attacker) each(n int, write func(i int) error) {
	numbers := make(chan int)
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for i := range numbers {
				a.count(write(i))
			}
		})
	}
	for i := 0; i < n && a.ctx.Err() == nil; i++ {
		numbers <- i
	}
	close(numbers)
	running.Wait()
}

// repeat calls write again and again in each of n goroutines until the attack's length is over.
func (a *attacker) repeat(n int, pause time.Duration, write func(i, round int) error) {
	end := time.Now().Add(a.length)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			for round := 0; a.ctx.Err() == nil && time.Now().Before(end); round++ {
				a.count(write(i, round))
				time.Sleep(pause)
			}
		})
	}
	running.Wait()
}

// pods creates n pods.
func (a *attacker) pods(n int, newPod func(i int) *corev1.Pod) {
	a.each(n, func(i int) error { return a.create(newPod(i)) })
}

func (a *attacker) create(pod *corev1.Pod) error {
	_, err := a.client.CoreV1().Pods(a.namespace).Create(a.ctx, pod, metav1.CreateOptions{})
	return err
}

// remove deletes a pod at once. Controllers may have deleted it before.
func (a *attacker) remove(name string) error {
	return a.client.CoreV1().Pods(a.namespace).Delete(a.ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
}

// podOption changes a new pod.
type podOption func(*corev1.Pod)

// pod returns a pod that asks for 1 CPU.
func (a *attacker) pod(name string, options ...podOption) *corev1.Pod {
	return newPod(a.scheduler, name, options...)
}

func newPod(scheduler, name string, options ...podOption) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			SchedulerName:                 scheduler,
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers:                    []corev1.Container{{Name: "main", Image: "none"}},
		},
	}
	requesting(corev1.ResourceCPU, "1")(pod)
	for _, option := range options {
		option(pod)
	}
	return pod
}

// requesting makes the pod request a resource. Extended resources need an equal limit.
func requesting(name corev1.ResourceName, quantity string) podOption {
	return func(pod *corev1.Pod) {
		resources := &pod.Spec.Containers[0].Resources
		if resources.Requests == nil {
			resources.Requests, resources.Limits = corev1.ResourceList{}, corev1.ResourceList{}
		}
		resources.Requests[name] = resource.MustParse(quantity)
		resources.Limits[name] = resource.MustParse(quantity)
	}
}

// impossible makes the pod request more than a node has.
func impossible(pod *corev1.Pod) { requesting(corev1.ResourceCPU, "1000")(pod) }

// inGang makes the pod a member of a gang that its pods declare.
func inGang(name string, minimum int) podOption {
	return func(pod *corev1.Pod) {
		pod.Labels["dovetail.dev/gang-name"] = name
		pod.Annotations["dovetail.dev/gang-min"] = fmt.Sprint(minimum)
	}
}

func annotated(annotations map[string]string) podOption {
	return func(pod *corev1.Pod) { maps.Copy(pod.Annotations, annotations) }
}

// using makes the pod use a ResourceClaim.
func using(claim string) podOption {
	return func(pod *corev1.Pod) {
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "devices", ResourceClaimName: &claim}}
		pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "devices"}}
	}
}
