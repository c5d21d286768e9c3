// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperDir is the environment variable that makes the test binary act as a starter, which
// the test kills later.
const helperDir = "PROCESS_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		playStarter(dir)
	}
	os.Exit(m.Run())
}

// playStarter starts two processes, one with DieWithParent and one without. It prints both
// and waits until it is killed.
func playStarter(dir string) {
	for _, bound := range []bool{true, false} {
		id, err := Start(Command{Path: "sleep", Args: []string{"300"}, Dir: dir, LogFile: filepath.Join(dir, "log"), DieWithParent: bound})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(id.PID)
	}
	select {}
}

func TestStartedProcessIsKnownMarkedAndEnded(t *testing.T) {
	dir := t.TempDir()
	id := startSleep(t, dir)
	if !id.Alive() {
		t.Fatal("a process that was just started is not alive")
	}
	if found := mustMarked(t, dir); len(found) != 1 || found[0] != id {
		t.Errorf("marked processes are %v, want %v", found, id)
	}
	if found := mustMarked(t, dir+"-other"); len(found) != 0 {
		t.Errorf("another directory's processes are %v", found)
	}
	if err := Stop([]Identity{id}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if id.Alive() || len(mustMarked(t, dir)) != 0 {
		t.Error("the process is still there")
	}
}

func TestReplacedProgramIsNotTheOneThatRuns(t *testing.T) {
	dir := t.TempDir()
	program, next := filepath.Join(dir, "program"), filepath.Join(dir, "next")
	copyProgram(t, "sleep", program)
	copyProgram(t, "sleep", next)
	id, err := Start(Command{Path: program, Args: []string{"300"}, Dir: dir, LogFile: filepath.Join(dir, "log"), DieWithParent: true})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs its program", func() bool { return id.Runs(program) })
	if err := os.Rename(next, program); err != nil {
		t.Fatal(err)
	}
	if id.Runs(program) {
		t.Error("it passes for running the program that has taken its own's place")
	}
	if err := Stop([]Identity{id}, 0); err != nil {
		t.Fatal(err)
	}
	if id.Runs(program) {
		t.Error("it runs after its end")
	}
}

func TestRecycledPidIsNotSignalled(t *testing.T) {
	id := startSleep(t, t.TempDir())
	for name, other := range map[string]Identity{
		"started at another time": {PID: id.PID, StartTicks: id.StartTicks - 1, Boot: id.Boot},
		"of another boot":         {PID: id.PID, StartTicks: id.StartTicks, Boot: "another"},
		"nothing known":           {},
	} {
		t.Run(name, func(t *testing.T) {
			if other.Alive() {
				t.Error("it passes for the process that has the pid now")
			}
			if err := other.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
	}
	if !id.Alive() {
		t.Error("the process that has the pid now was hit")
	}
}

func TestStubbornProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	ready := filepath.Join(dir, "ready")
	id, err := Start(Command{
		Path: "bash", Args: []string{"-c", "trap '' TERM; touch " + ready + "; while :; do sleep 300; done"},
		Dir: dir, LogFile: filepath.Join(dir, "log"), DieWithParent: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trap is set", func() bool { _, err := os.Stat(ready); return err == nil })
	// The shell's own sleep also has the mark.
	eventually(t, "shell and sleep are found", func() bool { return len(mustMarked(t, dir)) == 2 })
	if err := Stop(mustMarked(t, dir), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if id.Alive() || len(mustMarked(t, dir)) != 0 {
		t.Error("something is still there")
	}
}

func TestProcessDiesWithItsStarterOnlyWhenBound(t *testing.T) {
	dir := t.TempDir()
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), helperDir+"="+dir)
	output, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	ids := map[string]Identity{}
	for _, name := range []string{"bound", "free"} {
		var pid int
		if !lines.Scan() {
			t.Fatal("the starter says nothing")
		}
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			t.Fatalf("the starter says %q", lines.Text())
		}
		if ids[name], err = Identify(pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := starter.Wait(); err == nil {
		t.Fatal("the starter was not killed")
	}
	eventually(t, "the bound process is gone", func() bool { return !ids["bound"].Alive() })
	if found := mustMarked(t, dir); len(found) != 1 || found[0] != ids["free"] {
		t.Errorf("left are %v, want the free one, %v", found, ids["free"])
	}
	if err := Stop(mustMarked(t, dir), time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironmentOfTheUserStaysBehind(t *testing.T) {
	t.Setenv("KUBECONFIG", "/somebody/elses")
	t.Setenv("HTTPS_PROXY", "http://proxy")
	env := strings.Join(environment("/d"), "\n")
	if strings.Contains(env, "KUBECONFIG") || strings.Contains(env, "PROXY") {
		t.Errorf("passed on:\n%s", env)
	}
	for _, wanted := range []string{"HOME=/d", markName + "=/d", "PATH="} {
		if !strings.Contains(env, wanted) {
			t.Errorf("no %s in:\n%s", wanted, env)
		}
	}
}

func TestProgramThatIsNotThereIsAnError(t *testing.T) {
	dir := t.TempDir()
	if _, err := Start(Command{Path: filepath.Join(dir, "nothing"), Dir: dir, LogFile: filepath.Join(dir, "log")}); err == nil {
		t.Error("it was started")
	}
}

func startSleep(t *testing.T, dir string) Identity {
	t.Helper()
	id, err := Start(Command{Path: "sleep", Args: []string{"300"}, Dir: dir, LogFile: filepath.Join(dir, "log"), DieWithParent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Stop([]Identity{id}, 0); err != nil {
			t.Error(err)
		}
	})
	return id
}

func copyProgram(t *testing.T, name, to string) {
	t.Helper()
	from, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

func mustMarked(t *testing.T, dir string) []Identity {
	t.Helper()
	found, err := Marked(dir)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}
