// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
)

const (
	// watchStep is the interval in which the supervisor looks at the programs.
	watchStep = 100 * time.Millisecond
	// probeTimeout limits one check of all programs.
	probeTimeout = 2 * time.Second
	// leaseAge is the greatest age of a lease that its holder renews.
	leaseAge = 2 * time.Second
)

// programs kills, pauses and starts the programs of the cluster. It starts programs that have
// ended, as a kubelet does. It tells the invariant checker when a program is down.
type programs struct {
	cluster *localcluster.Cluster
	client  kubernetes.Interface
	checker *invariants.Checker
	names   []string
	logf    func(string, ...any)

	mu sync.Mutex
	// held has, for each killed program, the time before which it must not start.
	held map[string]time.Time
	// started counts starts by the supervisor, by program.
	started map[string]int
}

// supervise starts ended programs until ctx is done.
func (p *programs) supervise(ctx context.Context) {
	var running sync.WaitGroup
	for _, name := range p.names {
		running.Go(func() {
			for ; ctx.Err() == nil; sleep(ctx, watchStep) {
				if !p.cluster.Running(name) {
					up := p.checker.ServerDown()
					p.revive(ctx, name)
					running.Go(func() { p.backUp(ctx, up) })
				}
			}
		})
	}
	running.Wait()
}

// revive starts a program, again if it ends at once: a server that it needs may be down.
func (p *programs) revive(ctx context.Context, name string) {
	for ctx.Err() == nil && !p.cluster.Running(name) {
		sleep(ctx, time.Until(p.heldUntil(name)))
		p.count(name)
		if err := p.cluster.StartComponent(ctx, name); err != nil {
			sleep(ctx, watchStep)
		}
	}
}

// backUp waits until all programs work, and calls up, which ends the outage of the invariant
// checker.
func (p *programs) backUp(ctx context.Context, up func(context.Context) error) {
	for problem := "unknown"; problem != "" && ctx.Err() == nil; sleep(ctx, watchStep) {
		problem = p.problem(ctx)
	}
	if err := up(ctx); err != nil && ctx.Err() == nil {
		p.logf("%v", err)
	}
}

// problem describes the first program that does not work, or returns "".
func (p *programs) problem(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for _, name := range p.names {
		if err := p.cluster.Ready(ctx, name); err != nil {
			return fmt.Sprintf("%s: %v", name, err)
		}
	}
	if !slices.Contains(p.names, localcluster.DovetailStandby) {
		return ""
	}
	lease, err := p.client.CoordinationV1().Leases("dovetail-system").Get(ctx, "dovetail", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if renewed := lease.Spec.RenewTime; renewed == nil || time.Since(renewed.Time) > leaseAge {
		return "no replica leads"
	}
	return ""
}

// kill ends a program. The supervisor starts it again when the time down has passed.
func (p *programs) kill(name string, down time.Duration) error {
	p.mu.Lock()
	p.held[name] = time.Now().Add(down)
	p.mu.Unlock()
	return p.cluster.Kill(name)
}

// pause stops a program for a time. It returns when all programs work again.
func (p *programs) pause(ctx context.Context, name string, length time.Duration) error {
	up := p.checker.ServerDown()
	defer p.backUp(ctx, up)
	if err := p.cluster.Signal(name, syscall.SIGSTOP); err != nil {
		return err
	}
	sleep(ctx, length)
	return p.cluster.Signal(name, syscall.SIGCONT)
}

func (p *programs) heldUntil(name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[name]
}

// starts returns the number of starts by the supervisor.
func (p *programs) starts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.started)
}

func (p *programs) count(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started[name]++
}
