// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func TestUnknownLevel(t *testing.T) {
	key := gangs.CoschedulingKey("ml", "a")
	of := func(required, preferred string) gangs.Topology {
		return gangs.Topology{Required: required, Preferred: preferred}
	}
	tests := map[string]struct {
		gang gangs.Gang
		want string
	}{
		"no wish":      {gang: gangs.Gang{Key: key}},
		"known levels": {gang: gangs.Gang{Key: key, Topology: of("spine", "leaf")}},
		"the node":     {gang: gangs.Gang{Key: key, Topology: of("node", "")}},
		"required": {
			gang: gangs.Gang{Key: key, Topology: of("rack", "")},
			want: `annotation dovetail.dev/topology-required of podgroup ml/a names level "rack"; the levels here are spine, leaf, node`,
		},
		"preferred, by a role": {
			gang: gangs.Gang{Key: key, Roles: []gangs.Role{{Name: "w", Topology: of("", "Leaf")}}},
			want: `annotation dovetail.dev/topology-preferred of podgroup ml/a names level "Leaf"; the levels here are spine, leaf, node`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := unknownLevel(tc.gang, []string{"spine", "leaf", "node"})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("sentence (-want,+got):\n%s", diff)
			}
		})
	}
}
