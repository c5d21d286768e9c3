// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	v1 "github.com/dovetail-dev/dovetail/pkg/apis/config/v1"
)

func yamlArgs(text string) runtime.Object {
	return &runtime.Unknown{Raw: []byte(text), ContentType: runtime.ContentTypeYAML}
}

func jsonArgs(text string) runtime.Object {
	return &runtime.Unknown{Raw: []byte(text), ContentType: runtime.ContentTypeJSON}
}

func TestDecodeGangArgs(t *testing.T) {
	defaults := GangArgs{
		ReportDelay:   time.Second,
		MaxReplans:    3,
		PermitTimeout: 10 * time.Minute,
		MaxBypass:     time.Hour,
		Reserve:       ReserveBackfill,
		Preemption:    PreemptByPriority,
		Budgets:       BudgetsRespect,
		Victims:       VictimsAll,
		Sources: []GangSource{
			SourceSchedulingGroup, SourcePodGroup, SourceVolcano, SourceYuniKorn, SourceKueue, SourceLeaderWorkerSet,
			SourceRayCluster, SourceJobSet, SourceJob, SourceGangLabel,
		},
	}
	written := GangArgs{
		ReportDelay:       90 * time.Second,
		MaxReplans:        0,
		PermitTimeout:     time.Minute,
		HealAfter:         5 * time.Minute,
		MaxBypass:         0,
		Reserve:           ReserveKeep,
		Preemption:        PreemptNever,
		Budgets:           BudgetsPrefer,
		Victims:           VictimsOwn,
		MinRuntime:        time.Hour,
		PreemptAfter:      time.Minute,
		AllowNeverPreempt: true,
		Sources:           []GangSource{SourcePodGroup},
		SearchBudget:      5000,
	}
	tests := map[string]struct {
		in   runtime.Object
		want GangArgs
	}{
		"nothing at all gives the defaults":        {nil, defaults},
		"args without content give the defaults":   {&runtime.Unknown{}, defaults},
		"an empty object gives the defaults":       {jsonArgs(`{}`), defaults},
		"apiVersion and kind may stand there":      {jsonArgs(`{"apiVersion":"config.dovetail.dev/v1","kind":"GangArgs"}`), defaults},
		"null means not written":                   {jsonArgs(`{"sources":null,"maxReplans":null}`), defaults},
		"a v1 object is taken as well":             {&v1.GangArgs{}, defaults},
		"every field of a v1 object is taken over": {writtenGangArgs(), written},
		"every field is read, and zero stays zero": {yamlArgs(`
reportDelay: 1m30s
maxReplans: 0
permitTimeout: 1m
healAfter: 5m
maxBypass: 0s
reserve: Keep
preemption: Never
budgets: Prefer
victims: Own
minRuntime: 1h
preemptAfter: 1m
allowNeverPreempt: true
sources: [podgroup]
searchBudget: 5000
`), written},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeGangArgs(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("arguments (-want,+got):\n%s", diff)
			}
		})
	}
}

func writtenGangArgs() *v1.GangArgs {
	return &v1.GangArgs{
		ReportDelay:       &metav1.Duration{Duration: 90 * time.Second},
		MaxReplans:        ptr.To[int32](0),
		PermitTimeout:     &metav1.Duration{Duration: time.Minute},
		HealAfter:         &metav1.Duration{Duration: 5 * time.Minute},
		MaxBypass:         &metav1.Duration{},
		Reserve:           ptr.To("Keep"),
		Preemption:        ptr.To("Never"),
		Budgets:           ptr.To("Prefer"),
		Victims:           ptr.To("Own"),
		MinRuntime:        &metav1.Duration{Duration: time.Hour},
		PreemptAfter:      &metav1.Duration{Duration: time.Minute},
		AllowNeverPreempt: ptr.To(true),
		Sources:           []string{"podgroup"},
		SearchBudget:      ptr.To[int64](5000),
	}
}

func TestDecodeTopologyArgs(t *testing.T) {
	topograph, _ := presetLevels("topograph")
	gke, _ := presetLevels("gke")
	tests := map[string]struct {
		in   runtime.Object
		want TopologyArgs
	}{
		"nothing at all gives topograph":   {nil, TopologyArgs{Preset: "topograph", Levels: topograph}},
		"a preset is resolved":             {jsonArgs(`{"preset":"gke"}`), TopologyArgs{Preset: "gke", Levels: gke}},
		"a flat fabric has no levels":      {jsonArgs(`{"preset":"flat"}`), TopologyArgs{Preset: "flat"}},
		"levels keep their order and name": {yamlArgs("levels:\n- {name: row, nodeLabel: example.com/row, boundary: true}\n- {name: rack, nodeLabel: rack}\n"), TopologyArgs{Levels: []TopologyLevel{{Name: "row", NodeLabel: "example.com/row", Boundary: true}, {Name: "rack", NodeLabel: "rack"}}}},
		"levels by device attribute": {yamlArgs("levels:\n- {name: group, deviceAttribute: azure.dra.net/placementGroupId, boundary: true}\n- {name: rack, nodeLabel: rack}\n"), TopologyArgs{Levels: []TopologyLevel{
			{Name: "group", DeviceAttribute: "azure.dra.net/placementGroupId", Boundary: true}, {Name: "rack", NodeLabel: "rack"},
		}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeTopologyArgs(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("arguments (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestDecodeDRAAwareArgs(t *testing.T) {
	tests := map[string]struct {
		in   runtime.Object
		want DRAAwareArgs
	}{
		"nothing at all gives the defaults of stock": {nil, DRAAwareArgs{FilterTimeout: 10 * time.Second, BindingTimeout: 10 * time.Minute}},
		"every field is read, and zero stays zero":   {jsonArgs(`{"filterTimeout":"0s","bindingTimeout":"5s"}`), DRAAwareArgs{FilterTimeout: 0, BindingTimeout: 5 * time.Second}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeDRAAwareArgs(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("arguments (-want,+got):\n%s", diff)
			}
		})
	}
}

// decodeError runs the decoder of a kind and returns its error alone.
func decodeError(kind Kind, in runtime.Object) error {
	var err error
	switch kind {
	case KindGangArgs:
		_, err = DecodeGangArgs(in)
	case KindTopologyArgs:
		_, err = DecodeTopologyArgs(in)
	case KindDRAAwareArgs:
		_, err = DecodeDRAAwareArgs(in)
	}
	return err
}

// TestErrorsNameTheField: an administrator gets the kind, the path of the field
// and what would be right, whatever is wrong.
func TestErrorsNameTheField(t *testing.T) {
	tests := map[string]struct {
		kind  Kind
		in    runtime.Object
		wants []string
	}{
		"unknown field":                {KindGangArgs, jsonArgs(`{"maxReplan":1}`), []string{"unknown field", "maxReplan"}},
		"field in the wrong case":      {KindGangArgs, jsonArgs(`{"maxreplans":1}`), []string{"unknown field", "maxreplans"}},
		"unknown field inside a list":  {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","nodeLabel":"a","label":"x"}]}`), []string{"unknown field", "levels[0].label"}},
		"every unknown field at once":  {KindGangArgs, jsonArgs(`{"a":1,"b":2}`), []string{`"a"`, `"b"`}},
		"duplicate field in JSON":      {KindGangArgs, jsonArgs(`{"maxReplans":1,"maxReplans":2}`), []string{"duplicate field", "maxReplans"}},
		"duplicate field in YAML":      {KindGangArgs, yamlArgs("maxReplans: 1\nmaxReplans: 2\n"), []string{"maxReplans", "already"}},
		"not an object":                {KindGangArgs, jsonArgs(`[1]`), nil},
		"broken JSON":                  {KindGangArgs, jsonArgs(`{"maxReplans":`), nil},
		"content type without decoder": {KindGangArgs, &runtime.Unknown{Raw: []byte("x"), ContentType: runtime.ContentTypeProtobuf}, []string{runtime.ContentTypeProtobuf}},
		"object of another type":       {KindGangArgs, &v1.TopologyArgs{}, []string{"TopologyArgs"}},
		"another kind":                 {KindGangArgs, jsonArgs(`{"kind":"TopologyArgs"}`), []string{"kind", "TopologyArgs", `"GangArgs"`}},
		"another apiVersion":           {KindGangArgs, jsonArgs(`{"apiVersion":"dovetail.dev/v2"}`), []string{"apiVersion", "dovetail.dev/v2", "config.dovetail.dev/v1"}},
		"string for a number":          {KindGangArgs, jsonArgs(`{"maxReplans":"three"}`), []string{"maxReplans", "string"}},
		"number for a duration":        {KindGangArgs, jsonArgs(`{"reportDelay":5}`), []string{"reportDelay"}},
		"duration without a unit":      {KindGangArgs, jsonArgs(`{"permitTimeout":"10"}`), []string{"permitTimeout", "10"}},

		"negative report delay":       {KindGangArgs, jsonArgs(`{"reportDelay":"-1s"}`), []string{"reportDelay", "-1s", "from 0s to 1h"}},
		"report delay of two hours":   {KindGangArgs, jsonArgs(`{"reportDelay":"2h"}`), []string{"reportDelay", "from 0s to 1h"}},
		"eleven replans":              {KindGangArgs, jsonArgs(`{"maxReplans":11}`), []string{"maxReplans", "11", "from 0 to 10"}},
		"negative replans":            {KindGangArgs, jsonArgs(`{"maxReplans":-1}`), []string{"maxReplans", "-1", "from 0 to 10"}},
		"no permit timeout":           {KindGangArgs, jsonArgs(`{"permitTimeout":"0s"}`), []string{"permitTimeout", "from 1s to 15m"}},
		"permit timeout beyond stock": {KindGangArgs, jsonArgs(`{"permitTimeout":"16m"}`), []string{"permitTimeout", "from 1s to 15m"}},
		"negative healing":            {KindGangArgs, jsonArgs(`{"healAfter":"-1s"}`), []string{"healAfter", "from 0s to 24h"}},
		"healing after two days":      {KindGangArgs, jsonArgs(`{"healAfter":"48h"}`), []string{"healAfter", "from 0s to 24h"}},
		"unknown way to reserve":      {KindGangArgs, jsonArgs(`{"reserve":"keep"}`), []string{"reserve", `"keep"`, "Keep", "Backfill"}},
		"bypass of a fortnight":       {KindGangArgs, jsonArgs(`{"maxBypass":"336h"}`), []string{"maxBypass", "from 0s to 168h"}},
		"unknown preemption":          {KindGangArgs, jsonArgs(`{"preemption":"Always"}`), []string{"preemption", "Always", "Priority", "Never"}},
		"unknown budgets":             {KindGangArgs, jsonArgs(`{"budgets":"Ignore"}`), []string{"budgets", "Ignore", "Respect", "Prefer"}},
		"unknown victims":             {KindGangArgs, jsonArgs(`{"victims":""}`), []string{"victims", "All", "Own"}},
		"protection for two days":     {KindGangArgs, jsonArgs(`{"minRuntime":"48h"}`), []string{"minRuntime", "from 0s to 24h"}},
		"negative preempt after":      {KindGangArgs, jsonArgs(`{"preemptAfter":"-1s"}`), []string{"preemptAfter", "from 0s to 24h"}},
		"unknown source":              {KindGangArgs, jsonArgs(`{"sources":["podgroup","grove"]}`), []string{"sources[1]", "grove", "raycluster", "podgroup"}},
		"source named twice":          {KindGangArgs, jsonArgs(`{"sources":["podgroup","podgroup"]}`), []string{"sources[1]", "Duplicate", "podgroup"}},
		"no source":                   {KindGangArgs, jsonArgs(`{"sources":[]}`), []string{"sources", "at least one"}},
		"negative search budget":      {KindGangArgs, jsonArgs(`{"searchBudget":-1}`), []string{"searchBudget", "from 0 to 1000000000"}},
		"two errors at once":          {KindGangArgs, jsonArgs(`{"searchBudget":-1,"maxReplans":99}`), []string{"searchBudget", "maxReplans"}},

		"preset and levels":           {KindTopologyArgs, jsonArgs(`{"preset":"gke","levels":[{"name":"a","nodeLabel":"a"}]}`), []string{"levels", "preset"}},
		"unknown preset":              {KindTopologyArgs, jsonArgs(`{"preset":"bare"}`), []string{"preset", "bare", "topograph", "azure", "flat"}},
		"no level":                    {KindTopologyArgs, jsonArgs(`{"levels":[]}`), []string{"levels", "at least one", "flat"}},
		"level without a name":        {KindTopologyArgs, jsonArgs(`{"levels":[{"nodeLabel":"a"}]}`), []string{"levels[0].name"}},
		"level without a label":       {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a"}]}`), []string{"levels[0].nodeLabel"}},
		"level named node":            {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"node","nodeLabel":"a"}]}`), []string{"levels[0].name", "node", "reserved"}},
		"two levels of one name":      {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","nodeLabel":"a"},{"name":"a","nodeLabel":"b"}]}`), []string{"levels[1].name", "Duplicate"}},
		"two levels of one label":     {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","nodeLabel":"a"},{"name":"b","nodeLabel":"a"}]}`), []string{"levels[1].nodeLabel", "Duplicate"}},
		"level name with a space":     {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"top rack","nodeLabel":"a"}]}`), []string{"levels[0].name", "top rack"}},
		"label that is not a key":     {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","nodeLabel":"a b"}]}`), []string{"levels[0].nodeLabel", "a b"}},
		"label and attribute":         {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","nodeLabel":"a","deviceAttribute":"x.y/a"}]}`), []string{"levels[0].deviceAttribute", "nodeLabel"}},
		"attribute without a domain":  {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","deviceAttribute":"rackId"}]}`), []string{"levels[0].deviceAttribute", "rackId", "azure.dra.net/placementGroupId"}},
		"attribute that is no name":   {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","deviceAttribute":"x.y/rack-id"}]}`), []string{"levels[0].deviceAttribute", "rack-id"}},
		"attribute of a long name":    {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","deviceAttribute":"x.y/a23456789012345678901234567890123"}]}`), []string{"levels[0].deviceAttribute", "32"}},
		"two levels of one attribute": {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","deviceAttribute":"x.y/a"},{"name":"b","deviceAttribute":"x.y/a"}]}`), []string{"levels[1].deviceAttribute", "Duplicate"}},
		"string for a boundary":       {KindTopologyArgs, jsonArgs(`{"levels":[{"name":"a","nodeLabel":"a","boundary":"no"}]}`), []string{"levels", "boundary"}},
		"more levels than any fabric": {KindTopologyArgs, manyLevels(17), []string{"levels", "17", "16"}},

		"negative filter timeout": {KindDRAAwareArgs, jsonArgs(`{"filterTimeout":"-1s"}`), []string{"filterTimeout", "from 0s to 10m"}},
		"no binding timeout":      {KindDRAAwareArgs, jsonArgs(`{"bindingTimeout":"0s"}`), []string{"bindingTimeout", "from 1s to 24h"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := decodeError(test.kind, test.in)
			if err == nil {
				t.Fatal("decoded without an error")
			}
			for _, want := range append(test.wants, string(test.kind)) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
		})
	}
}

func manyLevels(n int) runtime.Object {
	var args v1.TopologyArgs
	for i := range n {
		name := "level-" + string(rune('a'+i))
		args.Levels = append(args.Levels, v1.TopologyLevel{Name: name, NodeLabel: &name})
	}
	return &args
}

// TestDecodeLeavesItsInputAlone: upstream hands the same object to the factory
// of every profile.
func TestDecodeLeavesItsInputAlone(t *testing.T) {
	gang := &v1.GangArgs{MaxReplans: ptr.To[int32](1)}
	topology := &v1.TopologyArgs{Levels: []v1.TopologyLevel{{Name: "rack", NodeLabel: ptr.To("rack")}, {Name: "group", DeviceAttribute: ptr.To("azure.dra.net/placementGroupId")}}}
	aware := &v1.DRAAwareArgs{}
	for kind, in := range map[Kind]runtime.Object{KindGangArgs: gang, KindTopologyArgs: topology, KindDRAAwareArgs: aware} {
		before := in.DeepCopyObject()
		if err := decodeError(kind, in); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if diff := cmp.Diff(before, in); diff != "" {
			t.Errorf("%s changed (-before,+after):\n%s", kind, diff)
		}
	}
}

func TestPresetsAreValid(t *testing.T) {
	seen := map[string]bool{}
	for _, preset := range Presets() {
		if seen[preset.Name] {
			t.Errorf("preset %s exists twice", preset.Name)
		}
		seen[preset.Name] = true
		if preset.Name == "flat" {
			continue
		}
		args := &v1.TopologyArgs{}
		for _, level := range preset.Levels {
			written := v1.TopologyLevel{Name: level.Name, NodeLabel: &level.NodeLabel, Boundary: &level.Boundary}
			if level.DeviceAttribute != "" {
				written.NodeLabel, written.DeviceAttribute = nil, &level.DeviceAttribute
			}
			args.Levels = append(args.Levels, written)
		}
		got, err := DecodeTopologyArgs(args)
		if err != nil {
			t.Errorf("preset %s written out is refused: %v", preset.Name, err)
			continue
		}
		if diff := cmp.Diff(preset.Levels, got.Levels); diff != "" {
			t.Errorf("preset %s written out (-preset,+written):\n%s", preset.Name, diff)
		}
	}
}
