// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// Election is the Lease with which replicas of the scheduler elect the one that runs the
// controllers of this package.
type Election struct {
	Namespace, Name                           string
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// Elected calls work whenever this process gets the Lease, with a context that is cancelled
// when it loses the Lease. It returns nil when ctx is done, and an error if the election
// cannot be set up. The kube-scheduler's own leader election cannot be used: it tells nobody
// but the kube-scheduler's code which replica leads, and a process that loses its Lease
// exits.
func (e Election) Elected(ctx context.Context, client kubernetes.Interface, work func(context.Context)) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("making a name to hold lease %s/%s by: %w", e.Namespace, e.Name, err)
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, e.Namespace, e.Name, client.CoreV1(), client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())})
	if err != nil {
		return fmt.Errorf("making lease %s/%s: %w", e.Namespace, e.Name, err)
	}
	var term sync.Mutex // a term may begin before work of the previous term has returned
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: e.Name, ReleaseOnCancel: true,
		LeaseDuration: e.LeaseDuration, RenewDeadline: e.RenewDeadline, RetryPeriod: e.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				term.Lock()
				defer term.Unlock()
				work(ctx)
			},
			OnStoppedLeading: func() {
				klog.FromContext(ctx).Info("Another replica may work now", "lease", klog.KRef(e.Namespace, e.Name))
			},
		},
	})
	if err != nil {
		return fmt.Errorf("electing by lease %s/%s: %w", e.Namespace, e.Name, err)
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return nil
}
