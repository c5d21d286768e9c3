// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// Shared is the equal clusters that the tests of a package share. A test has its cluster for
// itself. Tests in sequence use the same cluster. Parallel tests use as many clusters as run
// at a time.
type Shared struct {
	start func() (*localcluster.Cluster, error)

	mu sync.Mutex
	// all are the clusters that were started. free are those that no test uses.
	all, free []*localcluster.Cluster
	// err is the error of the first start that failed. Later starts would fail, too.
	err error
}

// Share returns a Shared whose clusters start with the options on first use. prepare, if
// not nil, runs when a cluster is ready.
func Share(options func() (localcluster.Options, error), prepare func(*localcluster.Cluster) error) *Shared {
	return &Shared{start: func() (*localcluster.Cluster, error) {
		chosen, err := options()
		if err != nil {
			return nil, err
		}
		cluster, err := localcluster.Start(context.Background(), chosen)
		if err == nil && prepare != nil {
			if err = prepare(cluster); err != nil {
				return nil, errors.Join(err, cluster.Stop())
			}
		}
		return cluster, err
	}}
}

// Cluster returns a cluster that no other test uses until this test ends. It starts one if
// none is free.
func (s *Shared) Cluster(t *testing.T) *localcluster.Cluster {
	t.Helper()
	cluster, err := s.take()
	if err != nil {
		t.Fatalf("starting the shared cluster: %v", err)
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, cluster)
	})
	return cluster
}

// take returns a free cluster or a new one.
func (s *Shared) take() (*localcluster.Cluster, error) {
	if cluster, err := s.takeFree(); cluster != nil || err != nil {
		return cluster, err
	}
	cluster, err := s.start()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
		return nil, err
	}
	s.all = append(s.all, cluster)
	return cluster, nil
}

// takeFree returns a free cluster, nil if there is none, or the error of an earlier start.
func (s *Shared) takeFree() (*localcluster.Cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		return nil, s.err
	}
	last := len(s.free) - 1
	cluster := s.free[last]
	s.free = s.free[:last]
	return cluster, nil
}

// Main runs the tests of a package and stops the shared clusters that tests started.
func (s *Shared) Main(m *testing.M) {
	code := m.Run()
	for _, cluster := range s.all {
		if err := errors.Join(namespacesGone(cluster), cluster.Stop()); err != nil {
			fmt.Fprintln(os.Stderr, "ending a shared cluster:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// namespacesGone waits until the namespaces that tests deleted are gone. An object that
// nobody deletes would keep its namespace.
func namespacesGone(cluster *localcluster.Cluster) error {
	client, err := kubernetes.NewForConfig(cluster.AdminConfig())
	if err != nil {
		return err
	}
	left := ""
	err = wait.PollUntilContextTimeout(context.Background(), PollStep, Patience, true, func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: awaitedLabel})
		if err != nil {
			return false, err
		}
		left = ""
		for _, namespace := range list.Items {
			left += fmt.Sprintf("namespace %s: %v; ", namespace.Name, namespace.Status.Conditions)
		}
		return left == "", nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the end of the tests' namespaces: %w: %s", err, left)
	}
	return nil
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
