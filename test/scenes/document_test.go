// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/scenes.md")

// document is the list of all scenes.
const document = "../../docs/scenes.md"

// integrationTests are tests of test/integration with situations of the kinds that no scene repeats.
var integrationTests = []struct{ kind, name, does string }{
	{"A", "TestHostPortsKeepMembersApart", "host ports of two gangs, and of a third that finds no room"},
	{"A", "TestAntiAffinityKeepsMembersApart", "anti-affinity by node and by leaf"},
	{"A", "TestAntiAffinityByALabelThatIsNoLevel", "anti-affinity by a label that only some nodes have"},
	{"A", "TestMembersSpreadOverTheDomainsOfALabel", "spread of seven members and of two that join later"},
	{"A", "TestWorkersBesideTheHead", "workers that require a head which comes after them"},
	{"A", "TestVolumesInAnyOrder", "a volume that one member must leave to another"},
	{"A", "TestAttachLimits", "attach limits of three gangs one after the other"},
	{"A", "TestClaimsOfOnePod", "two members with one ReadWriteOncePod claim"},
	{"B", "TestMembersGoWhereTheirVolumesAre", "a bound volume for each member"},
	{"D", "TestClaimOfAFormerPlanIsGivenBack", "devices of one member on a full node"},
	{"E", "TestFinishedMembersKeepTheQuorum", "a replacement that the scheduler sees without its fellow members"},
	{"E", "TestMinimumChangesWhileTheGangLives", "a minimum that changes"},
	{"F", "TestMembersShareWhatTheyWouldTakeAlone", "gangs of two to five members in turn on two nodes"},
}

// page writes the document.
func page() string {
	var b strings.Builder
	b.WriteString("# Scenes\n\n<!-- Written by go test ./test/scenes -run TestDocument -update. -->\n\n")
	b.WriteString("Situations that gangs must master, each from the API server down on a local cluster of eight\nnodes: `go test ./test/scenes -run TestScenes/KIND`.\n")
	total := 0
	for _, k := range kinds {
		total += len(k.scenes)
	}
	fmt.Fprintf(&b, "There are %d scenes. A scene runs once for each source that declares its gang.\n", total)
	for _, k := range kinds {
		fmt.Fprintf(&b, "\n## %s. %s\n\n| scene | sources | ends |\n|---|---|---|\n", k.letter, k.title)
		for _, s := range k.scenes {
			var sources []string
			for _, by := range s.by() {
				sources = append(sources, string(by))
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", s.name, strings.Join(sources, ", "), s.ends())
		}
		for _, test := range integrationTests {
			if test.kind == k.letter {
				fmt.Fprintf(&b, "| %s | `%s` of test/integration | |\n", test.does, test.name)
			}
		}
	}
	return b.String()
}

// ends says how the gang fares.
func (s scene) ends() string {
	switch {
	case s.refused == "":
		return "bound"
	case s.then == nil:
		return "refused"
	default:
		return "refused, then bound"
	}
}

func TestDocumentListsTheScenes(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil || string(got) != want {
		t.Errorf("docs/scenes.md does not list the scenes as they are (%v): run this test with -update", err)
	}
}

// A name is a subtest and a line of the document.
func TestSceneNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kinds {
		for _, s := range k.scenes {
			if seen[s.name] || strings.ContainsAny(s.name, "|\n/") {
				t.Errorf("scene %q has the name of another, or one that a table cannot hold", s.name)
			}
			seen[s.name] = true
		}
	}
}

func TestIntegrationTestsExist(t *testing.T) {
	files, err := filepath.Glob("../integration/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(content)
	}
	for _, test := range integrationTests {
		if !strings.Contains(code.String(), "func "+test.name+"(") {
			t.Errorf("the document names %s, which test/integration does not have", test.name)
		}
	}
}
