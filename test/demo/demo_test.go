// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/test/demo/picture"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// TestFleetIsDrawnAsObserved compares the picture of a fixed observation with the expected
// picture.
func TestFleetIsDrawnAsObserved(t *testing.T) {
	seen := newObservation()
	seen.head(pretrain, "ndh100v5-s1-l1-n1")
	seen.gangOf(pretrain, nodesOf(1, 1, 1, 2, 3, 4)...)
	seen.gangOf(serve, "", "")
	want := `  ndh100v5-s1
  ├─ l1    n1 a       n2         n3         n4         0 nodes free
  │  gpu   AAAA AAAA  AAAA AAAA  AAAA AAAA  AAAA AAAA
  │  nic   AAAA AAAA  AAAA AAAA  AAAA AAAA  AAAA AAAA
  └─ l2    n1         n2         n3         n4         4 nodes free
     gpu   ···· ····  ···· ····  ···· ····  ···· ····
     nic   ···· ····  ···· ····  ···· ····  ···· ····

  ndh100v5-s2
  ├─ l1    n1         n2         n3         n4         4 nodes free
  │  gpu   ···· ····  ···· ····  ···· ····  ···· ····
  │  nic   ···· ····  ···· ····  ···· ····  ···· ····
  └─ l2    n1         n2         n3         n4         4 nodes free
     gpu   ···· ····  ···· ····  ···· ····  ···· ····
     nic   ···· ····  ···· ····  ···· ····  ···· ····

                       pods  nodes  leaves  spines    gpu    nic  pairs
  A  RayJob pretrain    5/5      4       1       1     32     32     32
  C  PodGroup serve     0/2      -       -       -      -      -      -
  ·  free                       12                     96     96
`
	if diff := cmp.Diff(want, picture.Draw(seen.fleet(), false)); diff != "" {
		t.Errorf("picture (-want,+got):\n%s", diff)
	}
}

// TestStepsApplyEveryManifest decodes every manifest strictly if its type is known, and
// requires schedulerName in every pod template.
func TestStepsApplyEveryManifest(t *testing.T) {
	files, err := manifests.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.ContainsFunc(steps, func(s step) bool { return slices.Contains(s.command, file.Name()) }) {
			t.Errorf("%s is applied by no step", file.Name())
		}
		content, err := manifests.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if templates, dovetail := bytes.Count(content, []byte("containers:")), bytes.Count(content, []byte("schedulerName: dovetail")); templates != dovetail {
			t.Errorf("%s: %d pod templates, %d of them with schedulerName: dovetail", file.Name(), templates, dovetail)
		}
		for _, document := range documents(t, content) {
			decode(t, file.Name(), document)
		}
	}
}

func documents(t *testing.T, content []byte) [][]byte {
	t.Helper()
	var all [][]byte
	reader := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
	buffer := make([]byte, len(content))
	for {
		n, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(buffer[:n]))
	}
}

func decode(t *testing.T, file string, document []byte) {
	t.Helper()
	var kind struct{ Kind string }
	if err := sigsyaml.Unmarshal(document, &kind); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var into any
	switch kind.Kind {
	case "ResourceClaimTemplate":
		into = &resourceapi.ResourceClaimTemplate{}
	case "StatefulSet":
		into = &appsv1.StatefulSet{}
	case "RayJob", "RayCluster", "PodGroup":
		return // The API server of the demo checks these.
	default:
		t.Fatalf("%s: unexpected kind %q", file, kind.Kind)
	}
	if err := sigsyaml.UnmarshalStrict(document, into); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	if template, isTemplate := into.(*resourceapi.ResourceClaimTemplate); isTemplate {
		knownClasses(t, file, template)
	}
}

// knownClasses checks that a manifest requests only device classes of the fleet.
func knownClasses(t *testing.T, file string, template *resourceapi.ResourceClaimTemplate) {
	t.Helper()
	for _, request := range template.Spec.Spec.Devices.Requests {
		if !slices.Contains([]string{fleet.ClassGPU, fleet.ClassRDMA}, request.Exactly.DeviceClassName) {
			t.Errorf("%s: unknown device class %q", file, request.Exactly.DeviceClassName)
		}
	}
}

func TestCommandsAreShownAsTyped(t *testing.T) {
	want := []string{
		"kubectl apply -f test/demo/1-rayjob.yaml",
		"kubectl apply -f test/demo/2-raycluster.yaml",
		"kubectl apply -f test/demo/3-podgroup.yaml",
		`kubectl get pod serve-0 -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}'`,
		"kubectl describe podgroups.scheduling.x-k8s.io serve",
		"kubectl delete rayjob pretrain",
		"kubectl apply -f test/demo/5-gpu-only.yaml",
		"kubectl apply -f test/demo/6-raycluster.yaml",
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.typed())
		for _, words := range s.show {
			got = append(got, words.typed())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want,+got):\n%s", diff)
	}
}

func TestOutputOfKubectlIsCutAtSections(t *testing.T) {
	if got := section("Name: x\nEvents:\n  a\n  b\n", "Events:"); got != "Events:\n  a\n  b\n" {
		t.Errorf("section is %q", got)
	}
	if got := section("Name: x\n", "Events:"); got != "Name: x\n" {
		t.Errorf("a description without the section is %q, want all of it", got)
	}
}

// TestFailureEndsWithASentence runs the demo in a directory where no cluster can start.
func TestFailureEndsWithASentence(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	code := run(ctx, options{dir: "/dev/null/nowhere", fleet: fleet.Default(), steps: steps}, &screen{out: &out})
	if code != 1 || !strings.Contains(out.String(), "WRONG starting the cluster: ") {
		t.Errorf("want exit code 1 and a sentence, got %d and:\n%s", code, out.String())
	}
}

// stockConfig runs the plugins of the stock scheduler under Dovetail's name.
const stockConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
profiles:
  - schedulerName: dovetail
`

// TestStockSchedulingIsFoundWrong runs the entire demo on stock scheduling, which must
// fail. The chance that it passes is small: four pods on 16 equal nodes share a leaf once
// in 455 times, and then six pods must also share a spine.
func TestStockSchedulingIsFoundWrong(t *testing.T) {
	var out strings.Builder
	code := run(t.Context(), options{
		dir: t.TempDir(), schedulerConfig: []byte(stockConfig), fleet: fleet.Default(), steps: steps,
	}, &screen{out: &out})
	if code != 1 || !strings.Contains(out.String(), "want all workers in one") {
		t.Errorf("want exit code 1 and a sentence about a place, got %d and:\n%s", code, out.String())
	}
	t.Log(out.String())
}

// TestStockPairsAreFoundWrong runs the steps about pairs on two nodes. There, stock
// scheduling must choose the same nodes as Dovetail, but it gives the workers NICs that are
// not paired with their GPUs. The same steps pass with Dovetail.
func TestStockPairsAreFoundWrong(t *testing.T) {
	twoNodes, err := fleet.Parse("shape=ndh100v5,nodes=2")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config string
		code   int
		// each is the summary that the demo lists for every worker.
		each, want string
	}{
		"stock":    {config: stockConfig, code: 1, each: ": 0 of 2 pairs are true", want: "has 0 true pairs of 2: gpu-"},
		"Dovetail": {code: 0, each: ": 2 of 2 pairs are true", want: "by the hardware's data all 12 pairs of its 6 workers are true"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			o := options{dir: t.TempDir(), fleet: twoNodes, steps: []step{gpuOnlyFirst, gangAfterwards}}
			if test.config != "" {
				o.schedulerConfig = []byte(test.config)
			}
			code := run(t.Context(), o, &screen{out: &out})
			if code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("want exit code %d and %q, got %d and:\n%s", test.code, test.want, code, out.String())
			}
			if listed := strings.Count(out.String(), test.each); listed != 6 {
				t.Errorf("want %q of 6 workers, found it %d times in:\n%s", test.each, listed, out.String())
			}
		})
	}
}

func TestInterruptEndsWith130(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	if code := run(ctx, options{dir: t.TempDir(), fleet: fleet.Default(), steps: steps}, &screen{out: &out}); code != interrupted {
		t.Errorf("want exit code %d, got %d and:\n%s", interrupted, code, out.String())
	}
}

// TestProseFitsATerminal checks the line width of every title and story of the steps.
func TestProseFitsATerminal(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out}
	for _, step := range steps {
		s.title(step.title)
		s.prose(step.story)
		for _, g := range step.places {
			s.list(pairHeading(g), picture.Legend())
		}
	}
	for line := range strings.Lines(out.String()) {
		if length := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); length > width {
			t.Errorf("%d columns, want at most %d: %s", length, width, line)
		}
	}
}
