// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"os"
	"testing"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The API server serves what an older one did: there are no PodGroups of its own,
// and gangs declared otherwise are placed.
func TestOlderServers(t *testing.T) {
	if os.Getenv(matrixEnv) == "" {
		t.Skipf("starts 2 clusters; %s=1 or make test-native runs it", matrixEnv)
	}
	spec, err := fleet.Parse("shape=ndh100v5,spines=1,leaves=2,nodes=4")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.36", "1.35"} {
		t.Run(version, func(t *testing.T) {
			cluster, err := localcluster.Start(t.Context(), localcluster.Options{
				Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay},
				Args: map[string][]string{localcluster.APIServer: {"--emulated-version=" + version}},
			})
			if err != nil {
				t.Fatalf("starting a cluster that serves %s: %v", version, err)
			}
			t.Cleanup(func() {
				if err := cluster.Stop(); err != nil {
					t.Errorf("stopping the cluster: %v", err)
				}
			})
			e := inCluster(t, cluster)
			e.labelled()
			e.noErrors()
		})
	}
}
