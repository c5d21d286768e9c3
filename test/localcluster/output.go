// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"io"
	"sync"
)

// sharedWriter is a writer that several goroutines may write lines to.
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
