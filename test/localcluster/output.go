// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"io"
	"sync"
)

// sharedWriter lets the concurrent parts of a start write lines to the same writer.
type sharedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

// Write writes one line.
func (w *sharedWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(line)
}
