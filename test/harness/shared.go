// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// Shared is a cluster that the tests of a package share. The first test that needs it
// starts it.
type Shared struct {
	get     func() (*localcluster.Cluster, error)
	started bool
}

// Share returns a Shared whose cluster starts with the options on first use. prepare, if
// not nil, runs when the cluster is ready.
func Share(options func() (localcluster.Options, error), prepare func(*localcluster.Cluster) error) *Shared {
	s := &Shared{}
	s.get = sync.OnceValues(func() (*localcluster.Cluster, error) {
		s.started = true
		chosen, err := options()
		if err != nil {
			return nil, err
		}
		cluster, err := localcluster.Start(context.Background(), chosen)
		if err == nil && prepare != nil {
			err = prepare(cluster)
		}
		return cluster, err
	})
	return s
}

// Cluster returns the cluster. The first call starts it.
func (s *Shared) Cluster(t *testing.T) *localcluster.Cluster {
	t.Helper()
	cluster, err := s.get()
	if err != nil {
		t.Fatalf("starting the shared cluster: %v", err)
	}
	return cluster
}

// Main runs the tests of a package and stops the shared cluster if a test started it.
func (s *Shared) Main(m *testing.M) {
	code := m.Run()
	if s.started {
		if cluster, _ := s.get(); cluster != nil { // a test has reported a failed start
			if err := cluster.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stopping the shared cluster:", err)
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}

// Start starts a cluster for one test only.
func Start(t *testing.T, options localcluster.Options) *localcluster.Cluster {
	t.Helper()
	cluster, err := localcluster.Start(context.Background(), options)
	if err != nil {
		t.Fatalf("starting a cluster: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Errorf("stopping the cluster: %v", err)
		}
	})
	return cluster
}
