// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
)

const (
	pagePath = "../../../docs/config.md"
	typesDir = "../../apis/config/v1"
)

func TestPageIsUpToDate(t *testing.T) {
	want, err := render(typesDir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/config.md is old; run make generate (-want,+got):\n%s", diff)
	}
}

// TestExamplesLoad decodes every example of the page as the scheduler would.
func TestExamplesLoad(t *testing.T) {
	text, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) == 0 {
		t.Fatal("found no example")
	}
	for _, example := range examples {
		for _, plugin := range pluginConfigs(t, example[1]) {
			if err := decode(plugin); err != nil {
				t.Errorf("%v in the example\n%s", err, example[1])
			}
		}
	}
}

// pluginConfigs reads an example that is a whole configuration or the
// pluginConfig of a profile.
func pluginConfigs(t *testing.T, example []byte) []kubeschedulerv1.PluginConfig {
	var whole kubeschedulerv1.KubeSchedulerConfiguration
	if yaml.UnmarshalStrict(example, &whole) == nil {
		var out []kubeschedulerv1.PluginConfig
		for _, profile := range whole.Profiles {
			out = append(out, profile.PluginConfig...)
		}
		return out
	}
	var profile kubeschedulerv1.KubeSchedulerProfile
	if err := yaml.UnmarshalStrict(example, &profile); err != nil {
		t.Fatalf("%v in the example\n%s", err, example)
	}
	return profile.PluginConfig
}

func decode(plugin kubeschedulerv1.PluginConfig) error {
	args := &runtime.Unknown{Raw: plugin.Args.Raw}
	var err error
	switch plugin.Name {
	case "Gang":
		_, err = config.DecodeGangArgs(args)
	case "Topology":
		_, err = config.DecodeTopologyArgs(args)
	case "DRAAware":
		_, err = config.DecodeDRAAwareArgs(args)
	}
	return err
}
