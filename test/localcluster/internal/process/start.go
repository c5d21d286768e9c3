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
	// Path is the program, Args its arguments without the program's name.
	Path string
	Args []string
	// Env are additional environment variables, NAME=value.
	Env []string
	// Dir is the directory of the cluster that the process belongs to; it is also its working directory and home.
	Dir string
	// LogFile receives standard output and standard error; earlier content is kept.
	LogFile string
	// DieWithParent ends the process when this program ends, even by SIGKILL.
	DieWithParent bool
}

// Start starts the command in a session of its own, so that a terminal's Ctrl-C reaches only this program.
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

// reapLater reads the child's identity and waits for its end in the background, so that it does not stay a zombie.
func reapLater(cmd *exec.Cmd) (Identity, error) {
	// The child cannot be reaped before Wait, so its entry in /proc is there even if it has already ended.
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		return Identity{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	go cmd.Wait() //nolint:errcheck // A component that was told to end reports an error, too.
	id.awaitMark([]byte(markName + "=" + cmd.Dir))
	return id, nil
}

// markWait limits the wait for the mark of a started process, which takes microseconds on an idle machine.
const markWait = 10 * time.Second

// awaitMark returns when Marked finds the process, or it has ended. cmd.Start returns in the middle of exec, which closes
// the pipe between the two some time before it shows the new program's environment; until then Marked would miss it.
func (id Identity) awaitMark(mark []byte) {
	for deadline := time.Now().Add(markWait); !hasMark(id.PID, mark) && id.Alive() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// startOnLastingThread starts the command from one thread that lives as long as this program. The kernel sends a
// parent-death signal when the thread that started the child ends, and Go ends idle threads at will.
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

// passedOn are the variables that a component inherits from this program's environment. It must not inherit others: a
// KUBECONFIG or a proxy of the user would change the cluster.
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
