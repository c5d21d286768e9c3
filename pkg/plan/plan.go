// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Plan places the gang, or says why not.
func Plan(s *Snapshot, g Gang, fits Fits, o Options) Decision { return Decision{Gang: g.Name} }

// Score rates a node for a single pod, 0 to 100; -1 when it does not fit by count.
func Score(s *Snapshot, need Need, node string) int64 { return 0 }

// Why is the decision in one sentence.
func (d *Decision) Why() string { return "gang " + d.Gang }
