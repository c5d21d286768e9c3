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

// Start builds missing programs, starts a new cluster and returns when all components are
// ready. The cluster ends with Stop, with a failure of Start, and with the calling program,
// even if that program is killed. The context limits only the start.
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
	if err := c.beginInTurn(ctx); err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, nil
}

// beginInTurn begins when no other temporary cluster of the repository starts. A start uses all
// cores of a small machine, and several at a time could exceed readyTimeout.
func (c *Cluster) beginInTurn(ctx context.Context) error {
	if !c.temporary {
		return c.begin(ctx)
	}
	unlock, err := process.Lock(filepath.Join(c.builder.Root, ".cache", ".start.lock"))
	if err != nil {
		return fmt.Errorf("waiting for other clusters to start: %w", err)
	}
	defer unlock()
	return c.begin(ctx)
}

// Stop ends the cluster. It keeps the logs if Options.Dir is set. A second Stop does
// nothing.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = errors.Join(c.end(), c.release()) })
	return c.stopErr
}

// begin replaces the content of the directory by a new cluster. If it fails, it leaves no
// process running.
func (c *Cluster) begin(ctx context.Context) error {
	if err := c.clean(); err != nil {
		return err
	}
	if err := c.bringUp(ctx); err != nil {
		return errors.Join(err, c.end())
	}
	return nil
}

// clean ends the processes of an earlier cluster and removes its files, logs included.
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

// end ends every process and removes all files except the logs.
func (c *Cluster) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layout.end(&record{Processes: c.processes})
}

// end ends the cluster's processes, first the clients of the API server. It removes all
// files except the logs.
func (l layout) end(r *record) error {
	ids, err := l.processes(r)
	if err != nil {
		return err
	}
	// The servers get SIGKILL. Their state need not be saved, and with SIGTERM the API
	// server would wait for its clients' watches.
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

// temporaryDir creates a directory for a cluster without Options.Dir, and removes the
// unused directories of others.
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

// removeLeftover removes the directory of a killed test. A directory with a held lock is in use. A directory without a
// lock file may be new.
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
