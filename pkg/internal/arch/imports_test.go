// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"strings"
	"testing"
)

// allowance lists all that the production code of some packages may import
// directly, beside the standard library.
type allowance struct {
	packages []string
	imports  []string
	reason   string
}

var allowances = []allowance{
	{
		packages: []string{"pkg/plan"},
		reason:   "the planner is a pure function of frozen input, to be read, tested and fuzzed without Kubernetes",
	},
	{
		packages: []string{"pkg/devices"},
		imports:  []string{"pkg/plan", "k8s.io/api/...", "k8s.io/apimachinery/...", "k8s.io/dynamic-resource-allocation/...", "k8s.io/utils/..."},
		reason:   "devices speaks the language of ResourceSlices and claims, and nothing of a scheduler",
	},
	{
		packages: []string{"pkg/gangs"},
		imports: []string{"pkg/plan", "k8s.io/api/...", "k8s.io/apimachinery/...", "k8s.io/utils/...", "k8s.io/component-helpers/resource",
			"github.com/ray-project/kuberay/ray-operator/apis/...", "sigs.k8s.io/scheduler-plugins/apis/..."},
		reason: "gangs reads API types that somebody else fetched",
	},
	{
		packages: []string{"pkg/cluster"},
		imports: []string{"pkg/plan", "pkg/devices", "pkg/gangs", "k8s.io/api/...", "k8s.io/apimachinery/...", "k8s.io/utils/...",
			"k8s.io/component-helpers/...", "k8s.io/dynamic-resource-allocation/...", "k8s.io/klog/v2", "k8s.io/kube-scheduler/framework",
			"k8s.io/kubernetes/pkg/apis/core/v1/helper"},
		reason: "cluster translates between the scheduler's view and the planner's, and asks no server",
	},
	{
		packages: []string{"pkg/placement"},
		imports: []string{"pkg/plan", "pkg/devices", "pkg/gangs", "pkg/cluster", "pkg/evict", "pkg/metrics", "k8s.io/api/...", "k8s.io/apimachinery/...",
			"k8s.io/component-helpers/...", "k8s.io/dynamic-resource-allocation/...", "k8s.io/klog/v2",
			"k8s.io/kube-scheduler/framework", "k8s.io/kubernetes/pkg/scheduler/framework", "k8s.io/kubernetes/pkg/scheduler/util"},
		reason: "placement gets all that limits a plan in the request: it knows neither the state of gangs nor the plugins, and has no client",
	},
	{
		packages: []string{"pkg/evict"},
		imports: []string{"pkg/gangs", "pkg/cluster", "k8s.io/api/...", "k8s.io/apimachinery/...", "k8s.io/component-helpers/scheduling/corev1",
			"k8s.io/kube-scheduler/framework"},
		reason: "who may be evicted follows from the pods, the gangs and the time; package requests asks the API server",
	},
	{
		packages: []string{"pkg/gangstate"},
		imports:  []string{"pkg/plan", "pkg/gangs", "k8s.io/api/...", "k8s.io/apimachinery/...", "k8s.io/component-helpers/scheduling/corev1"},
		reason:   "the state machine of gangs is pure: events and time go in, effects come out",
	},
	{
		packages: []string{"pkg/apis/..."},
		imports:  []string{"pkg/apis/...", "k8s.io/apimachinery/...", "k8s.io/component-base/...", "k8s.io/utils/...", "sigs.k8s.io/json", "sigs.k8s.io/yaml"},
		reason:   "arguments are data; a tool that reads them must not pull in a scheduler",
	},
	{
		packages: []string{"pkg/metrics"},
		imports:  []string{"k8s.io/component-base/metrics/...", "github.com/prometheus/client_golang/..."},
		reason:   "every package may count, so counting depends on none of them",
	},
}

// ban forbids imports to the production code of some packages.
type ban struct {
	packages []string
	except   []string
	imports  []string
	// direct limits the ban to what the packages themselves name; otherwise it
	// holds for everything that they need.
	direct bool
	reason string
}

var bans = []ban{
	{
		packages: []string{"pkg/devices", "pkg/gangs", "pkg/gangstate", "pkg/apis/..."},
		imports:  []string{"k8s.io/client-go/...", "k8s.io/kube-scheduler/framework", "k8s.io/kubernetes/..."},
		reason:   "the framework brings 655 packages, 265 of them client-go; tests of these packages build in seconds without",
	},
	{
		packages: []string{"pkg/cluster", "pkg/placement", "pkg/plugins/gang/...", "pkg/plugins/topology/...", "pkg/plugins/draaware/...", "pkg/plugins/preemption/..."},
		imports:  []string{"k8s.io/client-go/kubernetes/...", "k8s.io/client-go/dynamic/...", "k8s.io/client-go/rest/...", "k8s.io/client-go/tools/clientcmd/..."},
		direct:   true,
		reason:   "the scheduler has one client and one set of informers, which fwk.Handle gives; CRDs are watched by pkg/workloads",
	},
	{
		packages: []string{"pkg/plugins/gang/..."},
		imports:  []string{"pkg/plugins/topology/...", "pkg/plugins/draaware/..."},
		reason:   "plugins are thin and apart: what two of them need is a package below them",
	},
	{
		packages: []string{"pkg/plugins/topology/..."},
		imports:  []string{"pkg/plugins/gang/...", "pkg/plugins/draaware/..."},
		reason:   "plugins are thin and apart: what two of them need is a package below them",
	},
	{
		packages: []string{"pkg/plugins/draaware/..."},
		imports:  []string{"pkg/plugins/gang/...", "pkg/plugins/topology/..."},
		reason:   "plugins are thin and apart: what two of them need is a package below them",
	},
	{
		packages: []string{"pkg/plugins/preemption/..."},
		imports:  []string{"pkg/plugins/gang/...", "pkg/plugins/topology/...", "pkg/plugins/draaware/..."},
		reason:   "plugins are thin and apart: what two of them need is a package below them",
	},
	{
		packages: []string{"pkg/..."},
		except:   []string{"pkg/plugins", "pkg/plugins/gang", "pkg/plugins/gang/podgroup", "pkg/plugins/topology", "pkg/plugins/draaware", "pkg/plugins/preemption"},
		imports:  []string{"pkg/plugins/..."},
		reason:   "plugins are the outermost layer below main",
	},
	{
		packages: []string{"pkg/...", "cmd/...", "manifests"},
		except:   []string{"pkg/plugins/draaware"},
		imports:  []string{"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources/..."},
		direct:   true,
		reason:   "one package alone wraps the in-tree DRA plugin",
	},
	{
		packages: []string{"pkg/...", "cmd/...", "manifests"},
		imports:  []string{"test/...", "bench/...", "pkg/plan/plantest/..."},
		reason:   "harnesses and generators are for tests",
	},
	{
		packages: []string{"pkg/...", "cmd/...", "manifests"},
		imports:  []string{"testing"},
		direct:   true,
		reason:   "production code does not know that it is tested",
	},
	{
		packages: []string{"test/invariants"},
		imports:  []string{"pkg/...", "cmd/..."},
		reason:   "a judge that uses the code it judges repeats its mistakes",
	},
}

func TestImportsAreAllowed(t *testing.T) {
	all := packages(t)
	for _, p := range all.ours() {
		for _, allow := range allowances {
			if !matchesAny(allow.packages, p.short()) {
				continue
			}
			for _, path := range p.Imports {
				if d := all[path]; d != nil && d.Standard || matchesAny(allow.imports, shorten(path)) {
					continue
				}
				t.Errorf("%s imports %s: %s", p.short(), shorten(path), allow.reason)
			}
		}
	}
}

func TestImportsAreNotBanned(t *testing.T) {
	all := packages(t)
	for _, p := range all.ours() {
		for _, ban := range bans {
			if matchesAny(ban.packages, p.short()) && !matchesAny(ban.except, p.short()) {
				for _, found := range ban.broken(all, p) {
					t.Errorf("%s: %s", found, ban.reason)
				}
			}
		}
	}
}

// broken returns the ways in which a package breaks the ban.
func (b ban) broken(all graph, p *pkg) []string {
	banned := func(path string) bool {
		return matchesAny(b.imports, shorten(path))
	}
	if !b.direct {
		if chain := all.chain(p.ImportPath, banned); chain != nil {
			return []string{strings.Join(chain, " -> ")}
		}
		return nil
	}
	var out []string
	for _, path := range p.Imports {
		if banned(path) {
			out = append(out, p.short()+" -> "+shorten(path))
		}
	}
	return out
}

// TestRulesApply: a rule about a package that was renamed would hold for ever.
func TestRulesApply(t *testing.T) {
	var patterns []string
	for _, allow := range allowances {
		patterns = append(patterns, allow.packages...)
	}
	for _, ban := range bans {
		patterns = append(patterns, ban.packages...)
	}
	all := packages(t).ours()
	for _, pattern := range patterns {
		if !applies(all, pattern) {
			t.Errorf("no package matches %s", pattern)
		}
	}
}

func applies(all []*pkg, pattern string) bool {
	for _, p := range all {
		if matches(pattern, p.short()) {
			return true
		}
	}
	return false
}
