// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// markName is the environment variable with the directory of the process's cluster.
const markName = "DOVETAIL_LOCALCLUSTER"

// Identity identifies a process, even after a reboot.
type Identity struct {
	// PID is the process id.
	PID int `json:"pid"`
	// StartTicks is the start time of the process, in clock ticks since boot.
	StartTicks uint64 `json:"startTicks"`
	// Boot identifies the boot during which the pid and the ticks are valid.
	Boot string `json:"boot"`
}

// Identify reads the identity of a running process.
func Identify(pid int) (Identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Identity{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, StartTicks: stat.startTicks, Boot: boot}, nil
}

// Alive reports whether this process still exists and may hold open files.
func (id Identity) Alive() bool {
	boot, err := bootID()
	if err != nil || boot != id.Boot {
		return false
	}
	stat, err := readStat(id.PID)
	return err == nil && stat.startTicks == id.StartTicks && !stat.ended()
}

// Runs reports whether this process exists and runs the present content of the file.
func (id Identity) Runs(file string) bool {
	running, err := os.Stat(procFile(id.PID, "exe"))
	if err != nil {
		return false
	}
	current, err := os.Stat(file)
	return err == nil && os.SameFile(running, current) && id.Alive()
}

// Signal sends a signal to this process. It is no error if the process is gone.
func (id Identity) Signal(signal syscall.Signal) error {
	// On Linux the handle is a pidfd, which always refers to the same process. The identity
	// is checked after opening, so another process cannot take the pid in between.
	handle, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("opening process %d: %w", id.PID, err)
	}
	defer handle.Release() //nolint:errcheck // Release only closes the pidfd.
	if !id.Alive() {
		return nil
	}
	if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling process %d: %w", id.PID, err)
	}
	return nil
}

// Marked lists the running processes that belong to the cluster in dir.
func Marked(dir string) ([]Identity, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	mark := []byte(markName + "=" + dir)
	var found []Identity
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !hasMark(pid, mark) {
			continue
		}
		// A process that ends between the two reads is ignored.
		if id, err := Identify(pid); err == nil && id.Alive() {
			found = append(found, id)
		}
	}
	return found, nil
}

// hasMark returns false for processes of other users, because it cannot read their environment.
func hasMark(pid int, mark []byte) bool {
	environ, err := os.ReadFile(procFile(pid, "environ"))
	if err != nil {
		return false
	}
	for _, variable := range bytes.Split(environ, []byte{0}) {
		if bytes.Equal(variable, mark) {
			return true
		}
	}
	return false
}

// stat holds the fields of /proc/PID/stat that this package uses.
type stat struct {
	state      byte
	threads    int
	startTicks uint64
}

// ended reports whether a process has ended, even if it is still to be reaped. The first
// thread of a killed process is a zombie before the other threads have ended, and the
// process's sockets are open until then.
func (s stat) ended() bool { return s.state == 'X' || s.state == 'Z' && s.threads <= 1 }

// readStat reads /proc/PID/stat. It counts the fields from the end of the program's name,
// which is in parentheses and may itself contain spaces and parentheses.
func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("reading the state of process %d: %w", pid, err)
	}
	const stateField, threadsField, startField = 0, 17, 19
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= startField {
		return stat{}, fmt.Errorf("reading the state of process %d: %d fields", pid, len(fields))
	}
	threads, err := strconv.Atoi(fields[threadsField])
	if err != nil {
		return stat{}, fmt.Errorf("reading the number of threads of process %d: %w", pid, err)
	}
	ticks, err := strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	return stat{state: fields[stateField][0], threads: threads, startTicks: ticks}, nil
}

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
