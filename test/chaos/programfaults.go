// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// amongBindings is how long a kill waits for a binding, in order to come in the middle of the
// bindings of a gang.
const amongBindings = 8 * time.Second

// afterBinding waits for the nth binding that arrives at any proxy, after which others often
// follow. It returns the kind of the kill, with the suffix whileBinding if that binding arrived
// in time.
func afterBinding(ctx context.Context, r *rig, kind string, nth int) string {
	ctx, cancel := context.WithTimeout(ctx, amongBindings)
	defer cancel()
	seen, left := make(chan struct{}), nth
	var mu sync.Mutex
	for _, proxy := range r.proxies {
		proxy.onBinding(func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				close(seen)
			}
		})
		defer proxy.onBinding(nil)
	}
	select {
	case <-seen:
		return kind + whileBinding
	case <-ctx.Done():
		return kind
	}
}

// whileBinding is the suffix of the kind of kills in the middle of bindings.
const whileBinding = "-while-binding"

// replica chooses a replica of Dovetail at random.
func (r *rig) replica(random *rand.Rand) string {
	if random.IntN(2) == 1 && slices.Contains(r.programs.names, localcluster.DovetailStandby) {
		return localcluster.DovetailStandby
	}
	return localcluster.Dovetail
}

// killed returns a fault that kills a program. choose returns the program's name.
func killed(name string, weight int, binding bool, choose func(*rig, *rand.Rand) string) fault {
	return fault{name: name, weight: weight, counts: true, apply: func(ctx context.Context, r *rig, random *rand.Rand) error {
		program, down, nth := choose(r, random), milliseconds(random, 10, 1500), 1+random.IntN(4)
		recovery := milliseconds(random, 1000, 5000)
		return r.alone(program, func() error {
			kind := name
			if binding {
				kind = afterBinding(ctx, r, name, nth)
			}
			r.counts.add(kind)
			if err := r.programs.kill(program, down); err != nil {
				return err
			}
			for ctx.Err() == nil && r.cluster.Ready(ctx, program) != nil {
				sleep(ctx, watchStep)
			}
			// The program does some work before it may be killed again.
			sleep(ctx, recovery)
			return nil
		})
	}}
}

// paused returns a fault that pauses a program for a random time of at most most milliseconds.
func paused(name string, weight, most int, choose func(*rig, *rand.Rand) string) fault {
	return fault{name: name, weight: weight, apply: func(ctx context.Context, r *rig, random *rand.Rand) error {
		program, length := choose(r, random), milliseconds(random, 200, most)
		return r.alone(program, func() error { return r.programs.pause(ctx, program, length) })
	}}
}

func program(name string) func(*rig, *rand.Rand) string {
	return func(*rig, *rand.Rand) string { return name }
}

func replica(r *rig, random *rand.Rand) string { return r.replica(random) }

// programFaults kill and pause programs. A long pause of the leader lets its lease expire.
var programFaults = []fault{
	killed("killed-dovetail", 3, true, replica),
	killed("killed-api-server", 1, true, program(localcluster.APIServer)),
	killed("killed-etcd", 1, true, program(localcluster.Etcd)),
	killed("killed-controller-manager", 1, false, program(localcluster.ControllerManager)),
	killed("killed-kuberay", 1, false, program(localcluster.KubeRay)),
	killed("killed-jobset", 1, false, program(localcluster.JobSet)),
	killed("killed-kwok", 1, false, program(localcluster.Kwok)),
	paused("paused-dovetail", 2, 2500, replica),
	paused("paused-dovetail-past-lease", 1, 9000, replica),
	paused("paused-api-server", 1, 4000, program(localcluster.APIServer)),
	paused("paused-etcd", 1, 4000, program(localcluster.Etcd)),
	paused("paused-controller-manager", 1, 5000, program(localcluster.ControllerManager)),
}
