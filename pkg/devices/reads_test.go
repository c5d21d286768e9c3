// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The reads of an expression are either exactly known or "everything".
func TestReadsOf(t *testing.T) {
	tests := map[string]string{
		`true`:                            "",
		`device.driver == "a"`:            "",
		`device.allowMultipleAllocations`: "",
		`device.capacity["d"].memory.compareTo(quantity("40Gi")) > 0`:                         "",
		`device.attributes["d"].x == 1 && device.attributes['e'].y`:                           "d/x e/y",
		`device.attributes["d"]["x"] == 1`:                                                    "d/x",
		`device.attributes["d"].?x.orValue(1) == 1`:                                           "d/x",
		`has(device.attributes["d"].x)`:                                                       "d/x",
		`"x" in device.attributes["d"] && device.attributes["d"].x == "device"`:               "d/x",
		`device.attributes["d"].x.startsWith("abc")`:                                          "d/x",
		`!("x" in device.attributes["d"]) || "y" in device.attributes["d"]`:                   "d/x d/y",
		`device.attributes["d"].exists(k, k == "x")`:                                          "everything",
		`device.attributes["d"].all(k, device.attributes["d"][k] == 1)`:                       "everything",
		`device.attributes["d"].size() == 3`:                                                  "everything",
		`"x" + "y" in device.attributes["d"]`:                                                 "everything",
		`device.attributes["d" + "e"].x`:                                                      "everything",
		`device.attributes["d"]["x" + "y"]`:                                                   "everything",
		`device.attributes.exists(k, k == "d")`:                                               "everything",
		`device.attributes[?"d"].x.orValue(1) == 1`:                                           "everything",
		`device.?attributes["d"].x.orValue(1) == 1`:                                           "everything",
		`cel.bind(d, device, d.attributes["d"].x == 1)`:                                       "everything",
		`cel.bind(d, device.attributes["d"], d.x == 1)`:                                       "everything",
		`[device].exists(d, d.driver == "a")`:                                                 "everything",
		`device.attributes["d"] == device.attributes["e"]`:                                    "everything",
		`device.attributes[r"d"].x`:                                                           "everything",
		`device.attributes["\x64"].x`:                                                         "everything",
		`device.attributes["""d"""].x`:                                                        "everything",
		"device.attributes[\"d\"].x // device.attributes[\"e\"].y":                            "everything",
		"device.attributes[\"d\"].`x`":                                                        "everything",
		`device.attributes["d"].x == 1 && device.attributes["d"].filter(k, true).size() == 1`: "everything",
	}
	for expression, want := range tests {
		t.Run(expression, func(t *testing.T) {
			reads := readsOf(expression)
			got := strings.Join(reads.attributes, " ")
			if reads.everything {
				got = "everything"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("reads (-want,+got):\n%s", diff)
			}
		})
	}
}
