// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroupcontroller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// gate is the scheduler's feature gate GenericWorkload: NATIVEGROUPS_GATE=false turns it off,
// so that the groups are placed as every other gang is. Otherwise it is on, because such
// groups are served.
var gate = os.Getenv("NATIVEGROUPS_GATE")

// shared serves Kubernetes' own PodGroups, with the gate on for every component. It has no
// stock scheduler, so that only Dovetail binds pods.
var shared = harness.Share(func() (localcluster.Options, error) {
	flags := []string{"--native-groups"}
	if gate != "" {
		flags = append(flags, "--feature-gates=GenericWorkload="+gate)
	}
	return localcluster.Options{
		Fleets:       []fleet.Spec{{Name: "plain", Shape: fleet.Plain, Spines: 1, Leaves: 2, Nodes: 2}},
		With:         []string{localcluster.JobSet},
		Without:      []string{localcluster.Scheduler},
		FeatureGates: "GenericWorkload=true",
		Args:         map[string][]string{localcluster.Dovetail: flags},
		Out:          os.Stderr,
	}, nil
}, applyOptIns)

// TestMain stops the shared cluster, if a test started it.
func TestMain(m *testing.M) { shared.Main(m) }

// applyOptIns applies the rights and policies of the opt-in.
func applyOptIns(cluster *localcluster.Cluster) error {
	args := []string{"apply"}
	for _, file := range []string{"native-groups/rbac.yaml", "native-groups/policies.yaml", "scheduler-name/policies.yaml"} {
		args = append(args, "-f", filepath.Join("..", "..", "manifests", filepath.FromSlash(file)))
	}
	if out, err := cluster.Kubectl(context.Background(), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("applying the opt-ins: %w: %s", err, out)
	}
	return nil
}

// env is one test's namespace in the shared cluster.
type env struct{ *harness.Env }

// newEnv returns when the policies of the cluster are in force.
func newEnv(t *testing.T, labels map[string]string) *env {
	t.Helper()
	e := &env{harness.New(t, shared.Cluster(t), harness.Options{
		Prefix: "native-", Labels: labels, Logs: []string{localcluster.Dovetail, localcluster.KubeRay},
	})}
	e.Until("the policies are in force", func(ctx context.Context) string {
		ray := e.dryRun(ctx, rayPod("a", "u"))
		set := e.dryRun(ctx, jobSetPod("a", "u"))
		name := e.dryRun(ctx, plainPod(map[string]string{"dovetail.dev/schedule": "true"}))
		if harness.GroupOf(ray) == "" || harness.GroupOf(set) == "" || name.Spec.SchedulerName != "dovetail" {
			return fmt.Sprintf("groups %q and %q, scheduler %q", harness.GroupOf(ray), harness.GroupOf(set), name.Spec.SchedulerName)
		}
		return ""
	})
	return e
}

// dryRun returns the pod as the API server would store it.
func (e *env) dryRun(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	e.Helper()
	made, err := e.Client.CoreV1().Pods(e.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: err.Error()}}
	}
	return made
}
