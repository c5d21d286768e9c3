// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroup

import "testing"

func TestPlacementNameHasNoSlash(t *testing.T) {
	for domain, want := range map[string]string{
		"leaf plain/plain-s1/l1": "leaf plain.plain-s1.l1",
		"the fabric":             "the fabric",
		"":                       "",
	} {
		if got := placementName(domain); got != want {
			t.Errorf("domain %q: placement %q, want %q", domain, got, want)
		}
	}
}
