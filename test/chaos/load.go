// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/test/harness"
)

const (
	// slots is the number of gangs that exist at a time, without the rival, a gang that needs
	// most nodes.
	slots = 9
	// namespaces is the number of namespaces of the gangs.
	namespaces = 3
	// tendStep is the interval in which the load checks a gang and creates its missing objects.
	tendStep = 500 * time.Millisecond
	// callTimeout limits one request of the load. A paused API server answers nothing.
	callTimeout = 5 * time.Second
	// jobPatience is how long a Job may lack pods, while the load is frozen, before another Job
	// replaces it. The Job controller waits longer and longer before it replaces deleted pods.
	jobPatience = 15 * time.Second
)

// load creates gangs, deletes each after a while, and creates the next.
type load struct {
	client  kubernetes.Interface
	dynamic dynamic.Interface
	seed    uint64
	nodes   int

	mu sync.Mutex
	// frozen is true while the load must keep the present gangs.
	frozen bool
	alive  map[int]*gang
	made   map[string]int
}

func newLoad(client kubernetes.Interface, dynamic dynamic.Interface, seed uint64, nodes int) *load {
	return &load{client: client, dynamic: dynamic, seed: seed, nodes: nodes, alive: map[int]*gang{}, made: map[string]int{}}
}

// run creates one gang after the other in each slot until ctx is done. The last slot has rivals.
func (l *load) run(ctx context.Context) {
	var running sync.WaitGroup
	for slot := range slots + 1 {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l.life(ctx, slot, n)
			}
		})
	}
	running.Wait()
}

// life runs the n-th gang of a slot, from its creation until its pods are gone.
func (l *load) life(ctx context.Context, slot, n int) {
	random := rand.New(rand.NewPCG(l.seed, uint64(slot)<<32|uint64(n)))
	namespace := namespaceName(slot % namespaces)
	length := time.Duration(2000+random.IntN(8000)) * time.Millisecond
	var g *gang
	if slot == slots {
		sleep(ctx, time.Duration(random.IntN(8000))*time.Millisecond)
		if !l.waitUntilThawed(ctx) {
			return
		}
		g = newRival(namespace, fmt.Sprintf("rival-%d", n), l.nodes)
	} else {
		source := sources[(slot+n)%len(sources)]
		g = newGang(random, source, namespace, fmt.Sprintf("%s-%d-%d", source, slot, n))
	}
	l.set(slot, g)
	l.tend(ctx, g, slot == slots, time.Now().Add(length))
	l.set(slot, nil)
	for ctx.Err() == nil && !l.removed(ctx, g) {
		sleep(ctx, tendStep/2)
	}
}

// tend creates the gang and creates its missing objects again until the end of its life. It
// returns early if the gang's main object (its workload) was created and has been deleted
// since. While the load is frozen tend ends no gang, except a rival, and a gang that finishes
// (a Job) if it has lacked pods for jobPatience.
func (l *load) tend(ctx context.Context, g *gang, rival bool, end time.Time) {
	created, whole := false, time.Now()
	for ctx.Err() == nil {
		switch frozen := l.isFrozen(); {
		case !frozen && time.Now().After(end), frozen && rival:
			return
		case !frozen || !g.finishes() || l.incomplete(ctx, g) == "":
			whole = time.Now()
		case time.Since(whole) > jobPatience:
			return
		}
		objects := g.objects()
		workload := objects[len(objects)-1]
		if created && l.gone(ctx, workload) {
			return
		}
		for _, u := range objects[:len(objects)-1] {
			l.create(ctx, u)
		}
		if !created && l.create(ctx, workload) {
			created = true
			l.count(g.source)
		}
		sleep(ctx, tendStep)
	}
}

// create reports whether the object exists afterwards.
func (l *load) create(ctx context.Context, u *unstructured.Unstructured) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := l.of(u).Create(ctx, u, metav1.CreateOptions{})
	return err == nil || apierrors.IsAlreadyExists(err)
}

func (l *load) gone(ctx context.Context, u *unstructured.Unstructured) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := l.of(u).Get(ctx, u.GetName(), metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// removed deletes what is left of a gang, and reports whether nothing was left.
func (l *load) removed(ctx context.Context, g *gang) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	objects := g.objects()
	left := false
	for i := range objects {
		u := objects[len(objects)-1-i]
		background := metav1.DeletePropagationBackground
		err := l.of(u).Delete(ctx, u.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		left = left || !apierrors.IsNotFound(err)
	}
	pods := l.client.CoreV1().Pods(g.namespace)
	selector := metav1.ListOptions{LabelSelector: gangLabel + "=" + g.name}
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, selector); err != nil {
		return false
	}
	list, err := pods.List(ctx, selector)
	return err == nil && len(list.Items) == 0 && !left
}

func (l *load) of(u *unstructured.Unstructured) dynamic.ResourceInterface {
	return l.dynamic.Resource(harness.ResourceOf(u)).Namespace(u.GetNamespace())
}

// unsettled describes the first gang that is missing or not bound completely, or a rival that
// is not deleted. It returns "" if there is none.
func (l *load) unsettled(ctx context.Context) string {
	for slot := range slots {
		g := l.get(slot)
		if g == nil {
			return fmt.Sprintf("slot %d has no gang", slot)
		}
		if problem := l.incomplete(ctx, g); problem != "" {
			return problem
		}
	}
	if g := l.get(slots); g != nil {
		return g.String() + " is not deleted"
	}
	return ""
}

// incomplete describes what a gang lacks, or returns "".
func (l *load) incomplete(ctx context.Context, g *gang) string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pods, err := l.client.CoreV1().Pods(g.namespace).List(ctx, metav1.ListOptions{LabelSelector: gangLabel + "=" + g.name})
	if err != nil {
		return err.Error()
	}
	bound, waiting := 0, []string(nil)
	for i := range pods.Items {
		pod := &pods.Items[i]
		switch {
		case pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed:
		case pod.Spec.NodeName != "":
			bound++
		default:
			waiting = append(waiting, pod.Name+": "+harness.Unschedulable(pod))
		}
	}
	if bound >= g.size {
		return ""
	}
	return fmt.Sprintf("%s (%s) has %d of %d pods bound; waiting: %s", g, g.devices, bound, g.size, strings.Join(waiting, "; "))
}

func (l *load) freeze(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = on
}

func (l *load) isFrozen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen
}

func (l *load) waitUntilThawed(ctx context.Context) bool {
	for l.isFrozen() && ctx.Err() == nil {
		sleep(ctx, tendStep)
	}
	return ctx.Err() == nil
}

func (l *load) set(slot int, g *gang) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.alive, slot)
	if g != nil {
		l.alive[slot] = g
	}
}

func (l *load) get(slot int) *gang {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alive[slot]
}

func (l *load) count(source string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made[source]++
}

// gangsMade returns the number of gangs made of each source.
func (l *load) gangsMade() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	made := map[string]int{}
	for source, n := range l.made {
		made[source] = n
	}
	return made
}

func namespaceName(i int) string { return fmt.Sprintf("chaos-%d", i) }
