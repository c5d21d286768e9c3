// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"fmt"
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// TestMain stops the shared cluster, if a test started it.
func TestMain(m *testing.M) { shared.Main(m) }

// emulated is the version of Kubernetes that everything but Dovetail emulates, "" for
// their own. Those before 1.37 serve no PodGroups of Kubernetes itself.
var emulated = os.Getenv("GANGS_EMULATE")

// shared has every controller that the tests need but the stock scheduler,
// so that only Dovetail binds pods. The API server serves Kubernetes' own
// PodGroups; the gate is off for Dovetail, whose sources are tested here.
var shared = harness.Share(func() (localcluster.Options, error) {
	config, err := everyName(manifests.SchedulerConfig, "volcano", "yunikorn")
	if err != nil {
		return localcluster.Options{}, err
	}
	return localcluster.Options{
		Fleets:                []fleet.Spec{{Name: "plain", Shape: fleet.Plain, Spines: 1, Leaves: 2, Nodes: 8}},
		With:                  []string{localcluster.JobSet},
		Without:               []string{localcluster.Scheduler},
		KubeRayBatchScheduler: "scheduler-plugins", // for the rights; tests choose
		Args:                  arguments(),
		DovetailConfig:        config,
		Out:                   os.Stderr,
	}, nil
}, nil)

func arguments() map[string][]string {
	if emulated != "" {
		version := "--emulated-version=" + emulated
		return map[string][]string{localcluster.KubeRay: {suspendGate}, localcluster.APIServer: {version}, localcluster.ControllerManager: {version}}
	}
	return map[string][]string{
		localcluster.KubeRay:   {suspendGate},
		localcluster.APIServer: {"--feature-gates=GenericWorkload=true", "--runtime-config=scheduling.k8s.io/v1beta1=true"},
		localcluster.Dovetail:  {"--feature-gates=GenericWorkload=false"},
	}
}

// everyName adds a profile under each further name to a configuration, equal to
// its first: KubeRay's modes for other schedulers put their names on the pods.
func everyName(config []byte, names ...string) ([]byte, error) {
	var object map[string]any
	if err := yaml.Unmarshal(config, &object); err != nil {
		return nil, fmt.Errorf("reading the scheduler's configuration: %w", err)
	}
	object["leaderElection"] = map[string]any{"leaderElect": false}
	profiles := object["profiles"].([]any)
	for _, name := range names {
		profile := map[string]any{}
		for key, value := range profiles[0].(map[string]any) {
			profile[key] = value
		}
		profile["schedulerName"] = name
		profiles = append(profiles, profile)
	}
	object["profiles"] = profiles
	return yaml.Marshal(object)
}
