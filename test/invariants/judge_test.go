// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// trial is what happens in a cluster and what the judge must say of it.
type trial struct {
	events func(c *judgeFixture)
	want   []string
}

// try runs trials on a cluster of three nodes.
func try(t *testing.T, trials map[string]trial) {
	for name, test := range trials {
		t.Run(name, func(t *testing.T) {
			c := newJudgeFixture()
			for _, node := range []string{"n1", "n2", "n3"} {
				c.node(node)
			}
			test.events(c)
			if diff := cmp.Diff(test.want, c.verdict()); diff != "" {
				t.Errorf("verdict (-want,+got):\n%s", diff)
			}
		})
	}
}

const patience = defaultGrace + time.Second
