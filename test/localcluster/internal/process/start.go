// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command describes a process to start.
type Command struct {
	// Path is the program; Args are its arguments without the program's name.
	Path string
	Args []string
	// Env are additional environment variables, NAME=value.
	Env []string
	// Dir is the directory of the process's cluster. It is also its working directory and
	// home.
	Dir string
	// LogFile receives standard output and standard error. Earlier content is kept.
	LogFile string
	// DieWithParent ends the process when this program ends, even by SIGKILL.
	DieWithParent bool
}

// Start starts the command in its own session, so a terminal's Ctrl-C reaches only this
// program.
func Start(command Command) (Identity, error) {
	log, err := os.OpenFile(command.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return Identity{}, fmt.Errorf("opening the log of %s: %w", command.Path, err)
	}
	defer log.Close()

	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir, cmd.Env = command.Dir, append(environment(command.Dir), command.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if command.DieWithParent {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := startOnLastingThread(cmd); err != nil {
		return Identity{}, fmt.Errorf("starting %s: %w", command.Path, err)
	}
	return reapLater(cmd)
}

// reapLater reads the child's identity. It waits for the child's end in the background, so
// the child does not stay a zombie.
func reapLater(cmd *exec.Cmd) (Identity, error) {
	// The child cannot be reaped before Wait, so its entry in /proc exists even if the
	// child has already ended.
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		return Identity{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	go cmd.Wait() //nolint:errcheck // Wait also reports an error for a component that a signal has ended.
	id.awaitMark([]byte(markName + "=" + cmd.Dir))
	return id, nil
}

// markWait limits the wait until a started process shows its mark (the cluster's directory in
// its environment), which takes microseconds on an idle machine.
const markWait = 10 * time.Second

// awaitMark returns when Marked, which searches /proc for marks, finds the process, or the process has ended. cmd.Start
// returns in the middle of exec: exec closes the pipe between parent and child before /proc
// shows the new program's environment. Until then Marked would miss the process.
func (id Identity) awaitMark(mark []byte) {
	for deadline := time.Now().Add(markWait); !hasMark(id.PID, mark) && id.Alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// startOnLastingThread starts the command from a thread that lives as long as this program.
// The kernel sends a parent-death signal when the thread that started the child ends, and
// the Go runtime may end idle threads at any time.
func startOnLastingThread(cmd *exec.Cmd) error {
	result := make(chan error)
	launcher() <- func() { result <- cmd.Start() }
	return <-result
}

var launcher = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		// Never unlocked: the thread belongs to this goroutine, which never returns.
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})

// passedOn are the environment variables that a component inherits from this program.
// Others must not be inherited: the user's KUBECONFIG or proxy would change the cluster.
var passedOn = []string{"PATH", "TMPDIR", "GODEBUG", "GOCOVERDIR", "GOMAXPROCS", "GOGC", "GOMEMLIMIT"}

func environment(dir string) []string {
	env := []string{markName + "=" + dir, "HOME=" + dir}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		for _, wanted := range passedOn {
			if name == wanted {
				env = append(env, variable)
			}
		}
	}
	return env
}
