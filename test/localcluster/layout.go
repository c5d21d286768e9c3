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

// layout says where in a cluster's directory things are.
type layout string

func (l layout) kubeconfig() string         { return filepath.Join(string(l), "kubeconfig") }
func (l layout) dovetailKubeconfig() string { return l.clientKubeconfig(Dovetail) }
func (l layout) dovetailConfig() string     { return filepath.Join(string(l), "dovetail-config.yaml") }
func (l layout) kwokConfig() string         { return filepath.Join(string(l), "kwok.yaml") }
func (l layout) jobSetConfig() string       { return filepath.Join(string(l), "jobset.yaml") }
func (l layout) etcdData() string           { return filepath.Join(string(l), "etcd") }
func (l layout) pki() string                { return filepath.Join(string(l), "pki") }
func (l layout) logs() string               { return filepath.Join(string(l), logsName) }
func (l layout) log(name string) string     { return filepath.Join(l.logs(), name+".log") }
func (l layout) record() string             { return filepath.Join(string(l), "cluster.json") }
func (l layout) lockFile() string           { return filepath.Join(string(l), lockName) }

func (l layout) clientKubeconfig(name string) string {
	return filepath.Join(string(l), name+".kubeconfig")
}

// What Down leaves behind: the logs, to be read afterwards, and the lock, since removing a lock that somebody else
// may already have opened would let two in.
const (
	logsName = "logs"
	lockName = "lock"
)

// openLayout makes the directory and returns it by its one true name, which marks the cluster's processes. A directory
// with content that is not a cluster's is refused: a new cluster removes what it finds.
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

// lock keeps others out of the directory. The kernel drops it when this program ends.
func (l layout) lock() (*os.File, error) {
	file, err := os.OpenFile(l.lockFile(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the cluster's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the cluster in %s is in use by another program that is running it, starting it or ending it: %w", l, err), file.Close())
	}
	return file, nil
}

// clear removes everything but what is kept.
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
