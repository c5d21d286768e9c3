// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Compare runs a workload in rounds. Each round runs every scheduler once. Each round
// starts with another scheduler, so a change of the machine's load favours none.
func (r Runner) Compare(ctx context.Context, c Case, profiles []Profile, rounds int, out io.Writer) (map[Profile][]Figures, error) {
	measured := map[Profile][]Figures{}
	for round := range rounds {
		for i := range profiles {
			p := profiles[(round+i)%len(profiles)]
			result, err := r.Do(ctx, Run{Case: c, Profile: p, Audit: true})
			if err != nil {
				return nil, err
			}
			f := result.Figures()
			measured[p] = append(measured[p], f)
			fmt.Fprintf(out, "round %d of %d, %-8s %s, algorithm %.2f ms, CPU %.1f s, %.0f MB, took %v\n",
				round+1, rounds, p, f.headline(), f.AlgorithmMean, f.CPUSeconds, f.MemoryMB, result.Took.Round(time.Second))
		}
	}
	return measured, nil
}
