// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"iter"
	"slices"
	"strings"
)

// signature says which queries (demands on a device) of a queryTable a device satisfies: a
// byte of flags for GPUs and RDMA NICs, then one bit for each query. Devices with equal
// signatures are interchangeable for every request made of these queries.
type signature string

const (
	flagGPU  = 1
	flagRDMA = 2
)

func (s signature) gpu() bool  { return s[0]&flagGPU != 0 }
func (s signature) rdma() bool { return s[0]&flagRDMA != 0 }

// matchesAny returns true if devices with the signature satisfy some query.
func (s signature) matchesAny() bool { return strings.Trim(string(s[1:]), "\x00") != "" }

// counted returns true if a node's numbers of devices include devices with the signature:
// they satisfy some query, or are GPUs or RDMA NICs. The inventory ignores other devices.
func (s signature) counted() bool { return s[0] != 0 || s.matchesAny() }

func (s signature) has(query int) bool { return s[1+query/8]&(1<<(query%8)) != 0 }

// queryTable numbers the queries (demands on a device) of a layout (a division of devices
// into kinds). column has the numbers by the queries' keys. Queries are only added.
type queryTable struct {
	queries []*deviceQuery
	column  map[string]int
}

// add gives a query the next number. It returns false if the table already has an equal
// query, which q then replaces: the inventory has dropped the older one and its results.
func (t *queryTable) add(q *deviceQuery) bool {
	if i, added := t.column[q.key]; added {
		t.queries[i] = q
		return false
	}
	t.column[q.key] = len(t.queries)
	t.queries = append(t.queries, q)
	return true
}

// signatureOf returns the signature of a device for all queries of the table. cached is
// its signature for the table's first queries, whose number is columns; it is "" if there is
// none yet.
func (t *queryTable) signatureOf(d *device, cached signature, columns int) signature {
	bits := make([]byte, 1+(len(t.queries)+7)/8)
	copy(bits, cached)
	if d.gpu {
		bits[0] |= flagGPU
	}
	if d.rdma {
		bits[0] |= flagRDMA
	}
	for i := columns; i < len(t.queries); i++ {
		if t.queries[i].match(d).selects && t.queries[i].tolerates(d) {
			bits[1+i/8] |= 1 << (i % 8)
		}
	}
	return signature(bits)
}

// distinctSignatures returns those signatures that counted accepts, sorted and without
// duplicates.
func distinctSignatures(all iter.Seq[signature]) []signature {
	distinct := slices.Compact(slices.Sorted(all))
	return slices.DeleteFunc(distinct, func(s signature) bool { return !s.counted() })
}
