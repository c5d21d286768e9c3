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

// env is one test's namespace in a cluster that other tests may share.
type env struct{ *harness.Env }

// gpuCluster has the default fleet: 2 spines x 2 leaves x 4 ND H100 v5 nodes.
var gpuCluster = harness.Share(func() (localcluster.Options, error) {
	return localcluster.Options{Fleets: []fleet.Spec{fleet.Default()}}, nil
}, nil)

// TestMain stops the shared cluster, if a test started it.
func TestMain(m *testing.M) { gpuCluster.Main(m) }

// onGPUs returns a namespace for the test in the shared cluster.
func onGPUs(t *testing.T) *env {
	t.Helper()
	return newEnv(t, gpuCluster.Cluster(t))
}

// onOwn starts a cluster for this test only.
func onOwn(t *testing.T, options localcluster.Options) *env {
	t.Helper()
	return newEnv(t, harness.Start(t, options))
}

func newEnv(t *testing.T, cluster *localcluster.Cluster) *env {
	t.Helper()
	return &env{harness.New(t, cluster, harness.Options{Prefix: "it-"})}
}

func containsSentence(pod *corev1.Pod, sentence string) bool {
	return strings.Contains(harness.Unschedulable(pod), sentence)
}
