// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
)

// DefaultDir returns the default directory of Up and Down.
func DefaultDir() (string, error) {
	root, err := binaries.Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, ".cache", "cluster"), nil
}

// Build builds every program of the local cluster that is not up to date, including
// kubectl.
func Build(ctx context.Context, out io.Writer) error {
	root, err := binaries.Root()
	if err != nil {
		return err
	}
	return binaries.Builder{Root: root, Out: out}.Build(ctx, binaries.Names())
}

// Program builds one program of the local cluster if it is not up to date. name is its file
// name in .cache/bin. It returns the program's path.
func Program(ctx context.Context, name string, out io.Writer) (string, error) {
	root, err := binaries.Root()
	if err != nil {
		return "", err
	}
	builder := binaries.Builder{Root: root, Out: out}
	return builder.Path(name), builder.Build(ctx, []string{name})
}

// Up ensures that a cluster with these options runs in the directory, and leaves it
// running. It keeps a healthy cluster and restarts lost processes. It first removes the
// remains of a failed or interrupted start. If the directory has a cluster with other
// options, Up returns an error: only the user may end that cluster.
func Up(ctx context.Context, options Options) (*Cluster, error) {
	root, err := binaries.Root()
	if err != nil {
		return nil, err
	}
	if options.Dir == "" {
		options.Dir = filepath.Join(root, ".cache", "cluster")
	}
	c, err := open(root, options)
	if err != nil {
		return nil, err
	}
	if err := c.up(ctx); err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, c.release()
}

func (c *Cluster) up(ctx context.Context) error {
	found := c.layout.recorded(c.out)
	if !found.worthKeeping() {
		return c.begin(ctx)
	}
	wanted, err := c.options.describe()
	if err != nil {
		return err
	}
	if found.Options != wanted {
		return fmt.Errorf("another cluster runs in %s, with options %s; end it first (down), or use another directory", c.layout, found.Options)
	}
	return c.adopt(ctx, found)
}

// worthKeeping reports whether all components of the recorded cluster were ready once, and one
// of its processes is alive.
func (r *record) worthKeeping() bool {
	if r == nil || !r.Complete {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(r.Processes)) {
		if r.Processes[name].Alive() {
			return true
		}
	}
	return false
}

// adopt takes over a cluster that an earlier Up has left running, and restarts components that
// are not running, not healthy or outdated (lost).
func (c *Cluster) adopt(ctx context.Context, found *record) error {
	c.ports, c.processes, c.complete = found.Ports, found.Processes, true
	if err := c.readAdmin(); err != nil {
		return err
	}
	if err := c.prepareBinaries(ctx); err != nil {
		return err
	}
	lost := c.lost(ctx)
	if len(lost) == 0 {
		fmt.Fprintf(c.out, "the cluster in %s is up and healthy\n", c.layout)
		return c.completeFleets(ctx)
	}
	fmt.Fprintf(c.out, "the cluster in %s needs to start again: %s\n", c.layout, strings.Join(lost, ", "))
	for _, name := range lost {
		if err := c.Restart(ctx, name); err != nil {
			return err
		}
	}
	return c.completeFleets(ctx)
}

// completeFleets creates the missing nodes of the fleets.
func (c *Cluster) completeFleets(ctx context.Context) error {
	if err := c.CreateNodes(ctx, c.allNodes()); err != nil {
		return err
	}
	return c.awaitFleets(ctx)
}

// lost returns the components that are not running, are not healthy, or run an outdated
// program, in start order.
func (c *Cluster) lost(ctx context.Context) []string {
	var lost []string
	for _, name := range c.options.components() {
		component, err := c.component(name)
		if err != nil || c.check(ctx, name) != nil || !c.process(name).Runs(c.builder.Path(component.binary)) {
			lost = append(lost, name)
		}
	}
	return lost
}

// Down ends the cluster in a directory, even if it is incomplete, and keeps its logs.
func Down(dir string, out io.Writer) error {
	if !layout(dir).used() {
		fmt.Fprintf(out, "there is no cluster in %s\n", dir)
		return nil
	}
	l, err := openLayout(dir)
	if err != nil {
		return err
	}
	lock, err := l.lock()
	if err != nil {
		return err
	}
	return errors.Join(l.down(out), lock.Close())
}

func (l layout) down(out io.Writer) error {
	found := l.recorded(out)
	ids, err := l.processes(found)
	if err != nil {
		return err
	}
	if err := l.end(found); err != nil {
		return err
	}
	fmt.Fprintf(out, "ended %d processes of the cluster in %s; its logs are in %s\n", len(ids), l, l.logs())
	return nil
}

// Go modules whose files tests and demos read, such as KubeRay's samples.
const (
	ModuleKubeRay          = binaries.ModuleKubeRay
	ModuleKwok             = binaries.ModuleKwok
	ModuleKubernetes       = binaries.ModuleKubernetes
	ModuleSchedulerPlugins = binaries.ModuleSchedulerPlugins
)

// ModuleDir returns the directory of a module in the module cache. Its files are read-only.
func ModuleDir(ctx context.Context, module string) (string, error) {
	root, err := binaries.Root()
	if err != nil {
		return "", err
	}
	return binaries.Builder{Root: root, Out: io.Discard}.ModuleDir(ctx, module)
}
