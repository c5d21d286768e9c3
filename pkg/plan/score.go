// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Score rates a node for a single pod.
func Score(s *Snapshot, need Need, node string) int64 { return 0 }
