// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/process"
)

// Start builds what is missing, starts a new cluster and returns when all of it is ready. The cluster ends with Stop,
// with a failure of Start, and with the calling program, even when that is killed. The context bounds the start only.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	root, err := binaries.Root()
	if err != nil {
		return nil, err
	}
	temporary := options.Dir == ""
	if temporary {
		if options.Dir, err = temporaryDir(root); err != nil {
			return nil, err
		}
	}
	c, err := open(root, options)
	if err != nil {
		return nil, err
	}
	c.bound, c.temporary = true, temporary
	if err := c.begin(ctx); err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, nil
}

// Stop ends the cluster. Its logs stay where Options.Dir named a directory. A second Stop does nothing.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = errors.Join(c.end(), c.release()) })
	return c.stopErr
}

// begin starts a new cluster in place of whatever was in the directory; a failure leaves nothing running.
func (c *Cluster) begin(ctx context.Context) error {
	if err := c.clean(); err != nil {
		return err
	}
	if err := c.bringUp(ctx); err != nil {
		return errors.Join(err, c.end())
	}
	return nil
}

// clean ends what is left of an earlier cluster and removes its files, logs included.
func (c *Cluster) clean() error {
	ids, err := c.layout.processes(c.layout.recorded(c.out))
	if err != nil {
		return err
	}
	if err := process.Stop(ids, 0); err != nil {
		return err
	}
	return c.layout.clear(lockName)
}

// end ends every process and removes everything but the logs.
func (c *Cluster) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layout.end(&record{Processes: c.processes})
}

// end ends the cluster's processes, the clients of the API server first, and removes everything but the logs.
func (l layout) end(r *record) error {
	ids, err := l.processes(r)
	if err != nil {
		return err
	}
	// The two servers have nothing to tidy up, and the API server would wait for its clients' watches.
	var servers, clients []process.Identity
	for _, id := range ids {
		if r != nil && (id == r.Processes[Etcd] || id == r.Processes[APIServer]) {
			servers = append(servers, id)
		} else {
			clients = append(clients, id)
		}
	}
	return errors.Join(process.Stop(clients, stopGrace), process.Stop(servers, 0), l.clear(logsName, lockName))
}

// temporaryDir makes a directory for a cluster that has none of its own, and removes those that nobody uses any more.
func temporaryDir(root string) (string, error) {
	parent := filepath.Join(root, ".cache", "clusters")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("making a directory for the cluster: %w", err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return "", fmt.Errorf("looking for left-over clusters: %w", err)
	}
	for _, entry := range entries {
		if err := removeLeftover(layout(filepath.Join(parent, entry.Name()))); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("%d-", os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a directory for the cluster: %w", err)
	}
	return dir, nil
}

// removeLeftover removes the directory of a test that was killed. One whose lock is held is in use; one without a lock
// may just have been made.
func removeLeftover(l layout) error {
	if !l.used() {
		return nil
	}
	lock, err := l.lock()
	if err != nil {
		return nil
	}
	return errors.Join(l.end(nil), os.RemoveAll(string(l)), lock.Close())
}
