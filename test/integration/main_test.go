// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"testing"
)

// TestMain ends the shared cluster, if a test started it.
func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if cluster, err := gpuCluster(); err == nil {
			if err := cluster.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stopping the shared cluster:", err)
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}
