// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/gangs/table"
)

// scenario tests one case of the table: it makes the objects, and expects the gang.
type scenario func(*env)

// scenarios are all of them, by source and name.
func scenarios() map[string]scenario {
	all := map[string]scenario{}
	for _, some := range []map[string]scenario{kubernetesScenarios, groupScenarios, rayScenarios, jobSetScenarios} {
		maps.Copy(all, some)
	}
	return all
}

// TestSources runs a scenario for every case of the table.
func TestSources(t *testing.T) {
	left := scenarios()
	for _, row := range table.Rows {
		t.Run(row.Source, func(t *testing.T) {
			if emulated != "" && row.Source == gangs.PodGroupSource {
				for _, c := range row.Cases {
					delete(left, row.Source+"/"+c.Name)
				}
				t.Skip("Kubernetes " + emulated + " does not serve it")
			}
			for _, c := range row.Cases {
				run := left[row.Source+"/"+c.Name]
				delete(left, row.Source+"/"+c.Name)
				t.Run(c.Name, func(t *testing.T) {
					if run == nil {
						t.Fatal("the table lists it, and there is no test")
					}
					run(newEnv(t))
				})
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("tests that the table does not list: %v", slices.Sorted(maps.Keys(left)))
	}
}
