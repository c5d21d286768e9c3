// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// FuzzDecode: whatever is written, decoding answers; and what it accepts keeps
// the promises that plugins rely on.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"maxReplans":3,"sources":["podgroup"],"reportDelay":"1s"}`), false)
	f.Add([]byte(`{"levels":[{"name":"rack","nodeLabel":"rack","boundary":true}]}`), false)
	f.Add([]byte(`{"levels":[{"name":"group","deviceAttribute":"azure.dra.net/placementGroupId"}]}`), false)
	f.Add([]byte("preset: gke\n"), true)
	f.Add([]byte("filterTimeout: 2s\nbindingTimeout: 1m\n"), true)
	f.Fuzz(func(t *testing.T, raw []byte, isYAML bool) {
		in := &runtime.Unknown{Raw: raw, ContentType: runtime.ContentTypeJSON}
		if isYAML {
			in.ContentType = runtime.ContentTypeYAML
		}
		if args, err := DecodeGangArgs(in); err == nil {
			requireGangPromises(t, args)
		}
		if args, err := DecodeTopologyArgs(in); err == nil {
			requireTopologyPromises(t, args)
		}
		if args, err := DecodeDRAAwareArgs(in); err == nil && (args.FilterTimeout < 0 || args.BindingTimeout < time.Second) {
			t.Errorf("accepted %+v", args)
		}
	})
}

func requireGangPromises(t *testing.T, args *GangArgs) {
	t.Helper()
	if args.ReportDelay < 0 || args.MaxReplans < 0 || args.PermitTimeout <= 0 || args.SearchBudget < 0 || len(args.Sources) == 0 {
		t.Errorf("accepted %+v", args)
	}
}

func requireTopologyPromises(t *testing.T, args *TopologyArgs) {
	t.Helper()
	names, labels := map[string]bool{nodeLevel: true}, map[string]bool{"": true}
	for _, level := range args.Levels {
		key := level.NodeLabel + " " + level.DeviceAttribute
		if names[level.Name] || labels[key] || (level.NodeLabel == "") == (level.DeviceAttribute == "") {
			t.Errorf("accepted %+v", args)
		}
		names[level.Name], labels[key] = true, true
	}
	if len(args.Levels) == 0 && args.Preset != "flat" {
		t.Errorf("accepted a fabric without levels: %+v", args)
	}
}
