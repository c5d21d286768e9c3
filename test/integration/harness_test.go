// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// env is one test's namespace in a cluster.
type env struct{ *harness.Env }

// What clusters do without.
var (
	// withoutOthers leaves out KubeRay and the stock scheduler, which most tests do not need.
	withoutOthers = []string{localcluster.KubeRay, localcluster.Scheduler}
	// withoutSchedulers also leaves out Dovetail, which runs in the test's process.
	withoutSchedulers = []string{localcluster.KubeRay, localcluster.Scheduler, localcluster.Dovetail}
)

// gpuCluster has the default fleet: 2 spines x 2 leaves x 4 ND H100 v5 nodes. A test has the
// cluster for itself.
var gpuCluster = harness.Share(func() (localcluster.Options, error) {
	return localcluster.Options{Fleets: []fleet.Spec{fleet.Default()}}, nil
}, nil)

// TestMain stops the shared clusters that tests started.
func TestMain(m *testing.M) { gpuCluster.Main(m) }

// onGPUs returns a namespace for the test in a shared cluster. Like onOwn it lets other tests
// run at the same time: most of a test's time is waiting.
func onGPUs(t *testing.T) *env {
	t.Helper()
	t.Parallel()
	return newEnv(t, gpuCluster.Cluster(t), harness.Options{})
}

// onOwn starts a cluster for this test only.
func onOwn(t *testing.T, options localcluster.Options) *env {
	t.Helper()
	t.Parallel()
	return alone(t, options)
}

// alone is onOwn for tests beside which no other test of this package may run: a process can
// have one scheduler, and some tests measure time.
func alone(t *testing.T, options localcluster.Options) *env {
	t.Helper()
	return newEnv(t, harness.Start(t, options), harness.Options{LeaveNamespace: true})
}

func newEnv(t *testing.T, cluster *localcluster.Cluster, options harness.Options) *env {
	t.Helper()
	options.Prefix = "it-"
	return &env{harness.New(t, cluster, options)}
}

func containsSentence(pod *corev1.Pod, sentence string) bool {
	return strings.Contains(harness.Unschedulable(pod), sentence)
}
