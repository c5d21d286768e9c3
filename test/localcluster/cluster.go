// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
	portpkg "github.com/dovetail-dev/dovetail/test/localcluster/internal/ports"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/process"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a running cluster. Its methods may be used by several goroutines at once.
type Cluster struct {
	options Options
	layout  layout
	ports   ports
	builder binaries.Builder
	// modules are the directories of the modules whose files are read.
	modules map[string]string
	// bound says that the processes die with this program, temporary that the directory goes with the cluster.
	bound, temporary bool
	out              io.Writer
	lock             *os.File
	admin            *rest.Config
	// reserved keeps others from the ports of components that are down for a while.
	reserved portpkg.Reservation

	stopOnce sync.Once
	stopErr  error

	mu        sync.Mutex
	complete  bool
	processes map[string]process.Identity
}

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

// Dir is the cluster's directory.
func (c *Cluster) Dir() string { return string(c.layout) }

// Kubeconfig is the file with the administrator's access.
func (c *Cluster) Kubeconfig() string { return c.layout.kubeconfig() }

// DovetailKubeconfig is the file with Dovetail's own access: the token of its ServiceAccount.
func (c *Cluster) DovetailKubeconfig() string { return c.layout.dovetailKubeconfig() }

// AdminConfig is the administrator's access for clients in this program, without a client-side rate limit.
func (c *Cluster) AdminConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// Kubectl is a call of kubectl as the administrator. What it caches stays in the cluster's directory.
func (c *Cluster) Kubectl(ctx context.Context, arguments ...string) *exec.Cmd {
	usual := []string{"--kubeconfig", c.Kubeconfig(), "--cache-dir", filepath.Join(c.Dir(), "kubectl")}
	return exec.CommandContext(ctx, c.Binary("kubectl"), append(usual, arguments...)...)
}

// Binary is the path of a program in .cache/bin, for instance kubectl.
func (c *Cluster) Binary(name string) string { return c.builder.Path(name) }

// open takes hold of the options' directory and ends what an earlier program may have left running in it, unless that
// was meant to stay.
func open(root string, options Options) (*Cluster, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	layout, err := openLayout(options.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := layout.lock()
	if err != nil {
		return nil, err
	}
	out := options.Out
	if out == nil {
		out = io.Discard
	}
	return &Cluster{
		options: options, layout: layout, lock: lock, out: &sharedWriter{out: out}, modules: map[string]string{},
		builder: binaries.Builder{Root: root, Out: out}, processes: map[string]process.Identity{},
	}, nil
}

// release gives the directory back to others.
func (c *Cluster) release() error {
	var err error
	if c.temporary {
		err = os.RemoveAll(string(c.layout))
	}
	return errors.Join(err, c.reserved.Release(), c.lock.Close())
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

// stopGrace is how long components may take to end by themselves. What they hold is thrown away anyway.
const stopGrace = 5 * time.Second

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

// readAdmin reads the administrator's access from its kubeconfig.
func (c *Cluster) readAdmin() error {
	admin, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return fmt.Errorf("reading the administrator's kubeconfig: %w", err)
	}
	admin.QPS = -1 // No limit: a fleet of 5,000 nodes is 15,000 requests.
	c.admin = admin
	return nil
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
