// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// layout is a cluster's directory; its methods return the paths in it.
type layout string

func (l layout) kubeconfig() string         { return filepath.Join(string(l), "kubeconfig") }
func (l layout) dovetailKubeconfig() string { return l.clientKubeconfig(Dovetail) }
func (l layout) kwokConfig() string         { return filepath.Join(string(l), "kwok.yaml") }
func (l layout) jobSetConfig() string       { return filepath.Join(string(l), "jobset.yaml") }
func (l layout) etcdData() string           { return filepath.Join(string(l), "etcd") }
func (l layout) pki() string                { return filepath.Join(string(l), "pki") }
func (l layout) logs() string               { return filepath.Join(string(l), logsName) }
func (l layout) log(name string) string     { return filepath.Join(l.logs(), name+".log") }
func (l layout) record() string             { return filepath.Join(string(l), "cluster.json") }
func (l layout) lockFile() string           { return filepath.Join(string(l), lockName) }

// dovetailConfig is the configuration of a replica of Dovetail.
func (l layout) dovetailConfig(replica string) string {
	return filepath.Join(string(l), replica+"-config.yaml")
}

func (l layout) clientKubeconfig(name string) string {
	return filepath.Join(string(l), name+".kubeconfig")
}

// Down, which ends a cluster, keeps the logs and the lock file. If it removed a lock file that another program
// has open, two programs could hold the lock at once.
const (
	logsName = "logs"
	lockName = "lock"
)

// openLayout creates the directory and returns its real path, by which the cluster's processes
// are found: it is in the environment of each. It returns an error for a directory with other
// content, because a new cluster removes all files in its directory.
func openLayout(dir string) (layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cluster's directory: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	l := layout(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	if len(entries) > 0 && !l.used() {
		return "", fmt.Errorf("directory %s is not empty and has never held a cluster", dir)
	}
	return l, nil
}

// used reports whether a cluster is, or was, in the directory.
func (l layout) used() bool {
	_, err := os.Stat(l.lockFile())
	return err == nil
}

// lock locks the directory. The kernel releases the lock when this program ends.
func (l layout) lock() (*os.File, error) {
	file, err := os.OpenFile(l.lockFile(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the cluster's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another program runs, starts or ends the cluster in %s: %w", l, err), file.Close())
	}
	return file, nil
}

// clear removes all files except those to keep.
func (l layout) clear(keep ...string) error {
	entries, err := os.ReadDir(string(l))
	if err != nil {
		return fmt.Errorf("clearing %s: %w", l, err)
	}
	kept := map[string]bool{}
	for _, name := range keep {
		kept[name] = true
	}
	var errs []error
	for _, entry := range entries {
		if !kept[entry.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(string(l), entry.Name())))
		}
	}
	return errors.Join(errs...)
}
