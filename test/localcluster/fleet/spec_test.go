// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	group := uuid("placement-group", "ndh100v5")
	for name, test := range map[string]struct {
		text string
		want Spec
	}{
		"the demo's fleet": {
			text: DefaultText,
			want: Default(),
		},
		"counts that are left out are one": {
			text: "shape=ndh100v5",
			want: Spec{Name: "ndh100v5", Shape: "ndh100v5", Spines: 1, Leaves: 1, Nodes: 1, Zone: "zone-1", PlacementGroup: group},
		},
		"everything said": {
			text: "shape=plain, name=cpu, spines=1, leaves=2, nodes=3, zone=z, group=g",
			want: Spec{Name: "cpu", Shape: "plain", Spines: 1, Leaves: 2, Nodes: 3, Zone: "z", PlacementGroup: "g"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want,+got):\n%s", test.text, diff)
			}
			again, err := Parse(got.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("Parse of its own String (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestParseErrorNamesTheCause(t *testing.T) {
	for text, wantMention := range map[string]string{
		"":                                 "key=value",
		"nodes=2":                          "shape",
		"shape=ndh100v6":                   "ndh100v6",
		"shape=plain,racks=2":              "racks",
		"shape=plain,nodes=2,nodes=3":      "nodes",
		"shape=plain,nodes=many":           "many",
		"shape=plain,nodes=0":              "nodes",
		"shape=plain,leaves=-1":            "leaves",
		"shape=plain,spines=400,nodes=400": "100000",
		"shape=ndgb300v6,nodes=19":         "rack",
		"shape=plain,zone=":                "zone",
		"shape=plain,zone=no spaces":       "zone",
		"shape=plain,name=Upper":           "Upper",
		"shape=plain,name=" + long(60):     "63",
		"shape=ndh100v5,group=" + long(65): "group",
	} {
		_, err := Parse(text)
		if err == nil {
			t.Errorf("Parse(%q) found nothing wrong", text)
		} else if !strings.Contains(err.Error(), wantMention) {
			t.Errorf("Parse(%q) does not mention %q: %v", text, wantMention, err)
		}
	}
}

func TestFleetsOfOneShapeGetDistinctNames(t *testing.T) {
	specs, err := ParseAll([]string{"shape=plain", "shape=ndh100v5", "shape=plain", "shape=ndh100v5,group=same", "shape=plain,name=x"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, spec := range specs {
		names = append(names, spec.Name)
	}
	if diff := cmp.Diff([]string{"plain", "ndh100v5", "plain-2", "ndh100v5-2", "x"}, names); diff != "" {
		t.Errorf("names (-want,+got):\n%s", diff)
	}
	if specs[0].PlacementGroup == specs[2].PlacementGroup {
		t.Error("two fleets share a placement group that nobody gave them")
	}
	if specs[3].PlacementGroup != "same" {
		t.Errorf("a given placement group became %q", specs[3].PlacementGroup)
	}
	if _, err := ParseAll([]string{"shape=plain,name=a", "shape=plain,name=a"}); err == nil {
		t.Error("two fleets of one name found nothing wrong")
	}
}

func long(length int) string { return strings.Repeat("x", length) }
