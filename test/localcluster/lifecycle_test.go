// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Environment variables that make a child process of the test binary start a cluster.
const (
	playMode = "LOCALCLUSTER_TEST_PLAY"
	playDir  = "LOCALCLUSTER_TEST_DIR"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(playMode); mode != "" {
		play(mode)
	}
	os.Exit(m.Run())
}

// servers returns the options of the smallest cluster.
func servers(dir string) localcluster.Options {
	return localcluster.Options{
		Dir: dir, Out: os.Stdout,
		Without: []string{localcluster.ControllerManager, localcluster.Scheduler, localcluster.Kwok, localcluster.KubeRay, localcluster.Dovetail},
	}
}

// play starts a cluster and runs until it is killed. With mode Up it runs until Up is done
// or interrupted.
func play(mode string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	start := localcluster.Start
	if mode == "up" {
		start = localcluster.Up
	}
	if _, err := start(ctx, servers(os.Getenv(playDir))); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
	if mode == "up" {
		os.Exit(0)
	}
	select {}
}

func TestClusterOfAKilledTestDiesWithIt(t *testing.T) {
	player := newPlayer(t, "start", filepath.Join(t.TempDir(), "cluster"))
	player.await("done")
	if len(marked(t, player.dir)) == 0 {
		t.Fatal("no process of the cluster is found")
	}
	addresses := listening(t, player.dir)
	player.end(syscall.SIGKILL)
	// A process that is ending loses its environment before its sockets.
	eventually(t, "every process has ended", func() (bool, error) {
		return len(marked(t, player.dir)) == 0 && !slices.ContainsFunc(addresses, answers), nil
	}, nil)
}

func TestDownEndsTheProcessesOfAKilledUp(t *testing.T) {
	player := newPlayer(t, "up", filepath.Join(t.TempDir(), "cluster"))
	player.await("etcd is ready")
	player.end(syscall.SIGKILL)
	addresses := listening(t, player.dir)
	if len(addresses) == 0 {
		t.Error("nothing of the cluster is left to be ended")
	}
	down(t, player.dir)
	wantNothingLeft(t, player.dir, addresses)
}

func TestInterruptedUpEndsItsProcesses(t *testing.T) {
	player := newPlayer(t, "up", filepath.Join(t.TempDir(), "cluster"))
	player.await("etcd is ready")
	addresses := listening(t, player.dir)
	player.end(syscall.SIGTERM)
	wantNothingLeft(t, player.dir, addresses)
}

func TestUpKeepsRepairsAndDownEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	t.Cleanup(func() { down(t, dir) })
	options := localcluster.Options{
		Dir: dir, Fleets: []fleet.Spec{parse(t, "shape=plain,nodes=2")}, Without: []string{localcluster.KubeRay, localcluster.Dovetail},
	}
	cluster := up(t, options, "is ready")
	createPod(t, cluster, plainPod("before"))
	wantRunning(t, cluster, "before")
	pids := marked(t, dir)

	up(t, options, "up and healthy")
	if again := marked(t, dir); fmt.Sprint(again) != fmt.Sprint(pids) {
		t.Errorf("a second up changed the processes from %v to %v", pids, again)
	}

	for _, name := range []string{localcluster.Etcd, localcluster.Kwok} {
		if err := cluster.Kill(name); err != nil {
			t.Fatal(err)
		}
	}
	cluster = up(t, options, "needs to start again: "+localcluster.Etcd)
	wantRunning(t, cluster, "before")
	createPod(t, cluster, plainPod("after"))
	wantRunning(t, cluster, "after")

	options.FeatureGates = "GenericWorkload=true"
	if _, err := localcluster.Up(t.Context(), options); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("up with other options: %v", err)
	}

	addresses := listening(t, dir)
	down(t, dir)
	wantNothingLeft(t, dir, addresses)
	if _, err := os.Stat(filepath.Join(dir, "logs", "etcd.log")); err != nil {
		t.Errorf("the logs are gone: %v", err)
	}
	down(t, dir)
}

func TestFailureNamesTheComponentAndLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	options := servers(dir)
	options.Without, options.Out = options.Without[1:], t.Output()
	options.Args = map[string][]string{localcluster.ControllerManager: {"--no-such-flag"}}
	began := time.Now()
	_, err := localcluster.Start(t.Context(), options)
	var failed *localcluster.ComponentError
	if !errors.As(err, &failed) {
		t.Fatalf("want a ComponentError, got %v", err)
	}
	if failed.Component != localcluster.ControllerManager || !strings.Contains(failed.Tail, "no-such-flag") {
		t.Errorf("want the controller manager's complaint about its flag, got %v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("the failure took %s to be noticed", took)
	}
	wantNothingLeft(t, dir, nil)
}

func TestDirectoryWithOtherContentIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := localcluster.Start(t.Context(), servers(dir)); err == nil {
		t.Error("a cluster was started in a directory that holds something else")
	}
	down(t, dir)
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("its content is gone: %v", err)
	}
}

// player is a child process of the test binary that starts a cluster.
type player struct {
	t       *testing.T
	dir     string
	command *exec.Cmd
	output  *os.File
}

func newPlayer(t *testing.T, mode, dir string) *player {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), playMode+"="+mode, playDir+"="+dir)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { down(t, dir) })
	return &player{t: t, dir: dir, command: command, output: output}
}

// await waits until the player has printed a text.
func (p *player) await(text string) {
	p.t.Helper()
	said := func() string {
		content, err := os.ReadFile(p.output.Name())
		return string(content) + errorText(err)
	}
	eventually(p.t, "the starter says "+text, func() (bool, error) { return strings.Contains(said(), text), nil }, said)
}

// end signals the player and waits for its end.
func (p *player) end(sig syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	if err := p.command.Wait(); err == nil {
		p.t.Errorf("the player was ended by %s but exits without an error", sig)
	}
}

// up runs Up and fails the test if the output lacks a text.
func up(t *testing.T, options localcluster.Options, want string) *localcluster.Cluster {
	t.Helper()
	var said strings.Builder
	options.Out = &said
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	cluster, err := localcluster.Up(ctx, options)
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), want) {
		t.Errorf("the output of up lacks %q:\n%s", want, said.String())
	}
	return cluster
}

func down(t *testing.T, dir string) {
	t.Helper()
	if err := localcluster.Down(dir, t.Output()); err != nil {
		t.Error(err)
	}
}
