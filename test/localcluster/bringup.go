// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/apply"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// bringUp starts every component in an empty directory and waits until all are ready. If it
// fails, the caller must end the started processes.
func (c *Cluster) bringUp(ctx context.Context) error {
	started := time.Now()
	// 1. Programs, and the modules that contain the manifests.
	if err := c.prepareBinaries(ctx); err != nil {
		return err
	}
	// 2. Ports.
	if err := c.takePorts(); err != nil {
		return err
	}
	// 3. Keys, certificates, kubeconfigs.
	if err := c.writeFiles(); err != nil {
		return err
	}
	// 4. The API server.
	if err := c.startServers(ctx); err != nil {
		return err
	}
	// 5. The clients of the API server, concurrently.
	if err := c.startClients(ctx); err != nil {
		return err
	}
	// 6. A last check: a component that was ready first may have failed since.
	for _, name := range c.options.components() {
		if err := c.check(ctx, name); err != nil {
			return c.componentError(name, fmt.Errorf("it was ready, but is no longer: %w", err))
		}
	}
	fmt.Fprintf(c.out, "the cluster in %s is ready (%s)\n", c.layout, time.Since(started).Round(probeInterval))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete = true
	return c.writeRecord()
}

// prepareBinaries builds the programs of the components and finds the modules whose files the cluster reads.
func (c *Cluster) prepareBinaries(ctx context.Context) error {
	var names []string
	for _, name := range c.options.components() {
		component, err := c.component(name)
		if err != nil {
			return err
		}
		names = append(names, component.binary)
	}
	if err := c.builder.Build(ctx, slices.Compact(names)); err != nil {
		return err
	}
	modules := []string{binaries.ModuleKwok, binaries.ModuleKubeRay, binaries.ModuleSchedulerPlugins}
	if !c.options.without(JobSet) {
		modules = append(modules, binaries.ModuleJobSet)
	}
	for _, module := range modules {
		dir, err := c.builder.ModuleDir(ctx, module)
		if err != nil {
			return err
		}
		c.modules[module] = dir
	}
	return nil
}

func (c *Cluster) takePorts() error {
	fields := c.ports.all()
	taken, err := c.reserved.Take(len(fields))
	if err != nil {
		return err
	}
	for i, field := range fields {
		*field = taken[i]
	}
	return nil
}

func (c *Cluster) startServers(ctx context.Context) error {
	for _, name := range []string{Etcd, APIServer} {
		if err := c.StartComponent(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// startClients starts the clients of the API server concurrently; the first failure ends the others.
func (c *Cluster) startClients(ctx context.Context) error {
	applier, err := apply.New(c.admin)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	definitions, controllers := make(chan struct{}), make(chan struct{})
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{ControllerManager, func() error {
			if err := c.startControllerManager(ctx, definitions); err != nil {
				return err
			}
			close(controllers)
			return nil
		}},
		{Scheduler, func() error { return c.StartComponent(ctx, Scheduler) }},
		{Kwok, func() error { return c.startKwok(ctx, applier) }},
		{KubeRay, func() error { return c.startKubeRay(ctx, applier, definitions) }},
		{JobSet, func() error { return c.startJobSet(ctx, applier, definitions) }},
		{Dovetail, func() error { return c.startDovetail(ctx, applier, definitions) }},
	} {
		if slices.Contains(c.options.components(), part.name) {
			group.Go(part.run)
		}
	}
	group.Go(func() error {
		if err := c.applyDefinitions(ctx, applier); err != nil {
			return err
		}
		close(definitions)
		return nil
	})
	group.Go(func() error { return c.createFleets(ctx, controllers) })
	return group.Wait()
}

// startControllerManager returns once pods can be created in the default namespace, which needs its ServiceAccount. It
// waits for the CRDs first: the garbage collector discovers later kinds only after half a minute.
func (c *Cluster) startControllerManager(ctx context.Context, definitions <-chan struct{}) error {
	if err := waitFor(ctx, definitions); err != nil {
		return err
	}
	if err := c.StartComponent(ctx, ControllerManager); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	return poll(ctx, "the default ServiceAccount", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return found(err)
	})
}
