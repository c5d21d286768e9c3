// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// judgeCase is what happens in a cluster and what the judge must say of it.
type judgeCase struct {
	events func(f *judgeFixture)
	want   []string
}

// runJudgeCases runs trials on a cluster of three nodes.
func runJudgeCases(t *testing.T, trials map[string]judgeCase) {
	for name, test := range trials {
		t.Run(name, func(t *testing.T) {
			f := newJudgeFixture()
			for _, node := range []string{"n1", "n2", "n3"} {
				f.node(node)
			}
			test.events(f)
			if diff := cmp.Diff(test.want, f.findings()); diff != "" {
				t.Errorf("verdict (-want,+got):\n%s", diff)
			}
		})
	}
}

const pastGrace = defaultGrace + time.Second
