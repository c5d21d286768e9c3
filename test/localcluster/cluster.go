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
	// modules are the directories of the modules whose files the cluster reads, by module
	// path.
	modules map[string]string
	// bound is true if the processes die with this program; temporary is true if the end of the cluster
	// removes the directory.
	bound, temporary bool
	out              io.Writer
	lock             *os.File
	admin            *rest.Config
	// reserved keeps all ports of the cluster from other clusters, also while a component is
	// stopped, until release.
	reserved portpkg.Reservation

	stopOnce sync.Once
	stopErr  error

	mu        sync.Mutex
	complete  bool
	processes map[string]process.Identity
}

// Dir is the cluster's directory.
func (c *Cluster) Dir() string { return string(c.layout) }

// Kubeconfig is the administrator's kubeconfig file.
func (c *Cluster) Kubeconfig() string { return c.layout.kubeconfig() }

// DovetailKubeconfig is the kubeconfig file with the token of Dovetail's ServiceAccount.
func (c *Cluster) DovetailKubeconfig() string { return c.layout.dovetailKubeconfig() }

// AdminConfig returns the administrator's client configuration, without a client-side rate
// limit.
func (c *Cluster) AdminConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// Kubectl returns a kubectl command that runs as the administrator. Its cache is in the
// cluster's directory.
func (c *Cluster) Kubectl(ctx context.Context, arguments ...string) *exec.Cmd {
	usual := []string{"--kubeconfig", c.Kubeconfig(), "--cache-dir", filepath.Join(c.Dir(), "kubectl")}
	return exec.CommandContext(ctx, c.Binary("kubectl"), append(usual, arguments...)...)
}

// Binary is the path of a program in .cache/bin, for instance kubectl.
func (c *Cluster) Binary(name string) string { return c.builder.Path(name) }

// open validates the options, and opens and locks the directory.
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

// release unlocks the directory, and removes it if it is temporary.
func (c *Cluster) release() error {
	var err error
	if c.temporary {
		err = os.RemoveAll(string(c.layout))
	}
	return errors.Join(err, c.reserved.Release(), c.lock.Close())
}

// readAdmin reads the administrator's client configuration from its kubeconfig.
func (c *Cluster) readAdmin() error {
	admin, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return fmt.Errorf("reading the administrator's kubeconfig: %w", err)
	}
	admin.QPS = -1 // No limit: a fleet of 5,000 nodes is 15,000 requests.
	c.admin = admin
	return nil
}

func (c *Cluster) serverURL() string { return "https://" + portpkg.Address(c.ports.APIServer) }

func (c *Cluster) pkiFile(name string) string { return filepath.Join(c.layout.pki(), name) }
