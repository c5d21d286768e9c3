// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// A label's level goes above all others, or, with nested, below the levels it divides.
func TestCacheWithLabels(t *testing.T) {
	var nodes []fwk.NodeInfo
	for _, labels := range []map[string]string{
		{"spine": "s1", "leaf": "l1", "half": "h1", "room": "a"},
		{"spine": "s1", "leaf": "l1", "half": "h2", "room": "b"},
		{"spine": "s2", "leaf": "l2", "half": "h3", "room": "a"},
	} {
		info := framework.NewNodeInfo()
		info.SetNode(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: labels["half"], Labels: labels}})
		nodes = append(nodes, info)
	}
	profile := &Profile{}
	profile.SetLevels([]Level{{Name: "spine", NodeLabel: "spine"}, {Name: "leaf", NodeLabel: "leaf"}})
	for name, test := range map[string]struct {
		labels []string
		nested bool
		want   []string
	}{
		"none":                {nil, false, []string{"spine", "leaf", "node"}},
		"a level's own":       {[]string{"leaf"}, true, []string{"spine", "leaf", "node"}},
		"one that divides":    {[]string{"half"}, true, []string{"spine", "leaf", "half", "node"}},
		"one that does not":   {[]string{"room"}, true, []string{"room", "spine", "leaf", "node"}},
		"both, and one twice": {[]string{"room", "half", "room"}, true, []string{"room", "spine", "leaf", "half", "node"}},
		"one alone":           {[]string{"half"}, false, []string{"half", "spine", "leaf", "node"}},
	} {
		cache, err := profile.CacheWithLabels(test.labels, test.nested, nodes)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, cache.LevelNames()); diff != "" {
			t.Errorf("%s: levels (-want,+got):\n%s", name, diff)
		}
	}
}
