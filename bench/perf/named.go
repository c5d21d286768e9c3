// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ownSuite is the suite of Dovetail's own workloads.
const ownSuite = "dovetail"

// Named is a workload with the short name that reports use.
type Named struct {
	Name string
	// Case is the long name: suite, test and workload.
	Case string
	// Note is a remark for readers of a report.
	Note string
	// Short is true if the workload is in the short set, which the subcommand short runs.
	Short bool
}

const unknownToStock = "stock does not know these gangs and places single pods"

// named lists the workloads, in the order in which reports list them.
var named = []Named{
	{Name: "basic", Case: "misc/SchedulingBasic/5000Nodes_10000Pods", Note: "pods that need nothing from Dovetail"},
	{Name: "basic-short", Case: "misc/SchedulingBasic/5000Nodes", Note: "pods that need nothing from Dovetail", Short: true},
	{Name: "ungated-750x4", Case: ownSuite + "/UngatedGangs/5000Nodes_750x4", Note: unknownToStock},
	{Name: "ungated-3x1000", Case: ownSuite + "/UngatedGangs/5000Nodes_3x1000", Note: unknownToStock},
	{Name: "dra-500", Case: "dra/SchedulingWithResourceClaimTemplate/5000pods_500nodes", Note: "2,500 pods with one device each; half of the devices are in use before"},
	{Name: "pairs-500", Case: ownSuite + "/PairGangs/500Nodes_100x4", Note: unknownToStock, Short: true},
	{Name: "pairs-5000", Case: ownSuite + "/PairGangs/5000Nodes_200x4", Note: unknownToStock},
	{Name: "restart", Case: ownSuite + "/Restart/5000Nodes_20000Pods", Note: unknownToStock + "; a scheduler starts where 20,000 pods run and a gang of eight and one pod wait"},
	{Name: "infeasible", Case: ownSuite + "/Infeasible/5000Nodes_2x500", Note: "no leaf holds the gangs"},
	{Name: "full-racks", Case: ownSuite + "/PodGroups/5000Nodes_Full_15x201", Note: "49 of 50 leaves are 95% full and hold all members of a gang but one"},
	{Name: "racks-short", Case: ownSuite + "/PodGroups/5000Nodes_Leaf_150x4", Short: true},
	{Name: "three-levels", Case: ownSuite + "/PodGroups/5000Nodes_Spine_10x200"},
	{Name: "four-roles", Case: ownSuite + "/PodGroups/5000Nodes_Roles_200x8"},
	{Name: "tas-750x4", Case: "podgroup/tas/TopologyAwareScheduling/5000Nodes_750Gangs_3000Pods"},
	{Name: "tas-3x1000", Case: "podgroup/tas/TopologyAwareScheduling/5000Nodes_3Gangs_3000Pods_1000PerGroup"},
	{Name: "gangs-1000x3", Case: "podgroup/gangscheduling/GangScheduling/5000Nodes_1000Gangs_3000Pods"},
	{Name: "gangs-3x1000", Case: "podgroup/gangscheduling/GangScheduling/5000Nodes_3Gangs_3000Pods_1000PerGroup"},
}

// Workloads returns the named workloads.
func Workloads() []Named { return slices.Clone(named) }

// Find returns the workload with a short or a long name. root is the directory of module
// k8s.io/kubernetes; own is the directory of Dovetail's own workloads.
func Find(root, own, name string) (Named, Case, error) {
	found := Named{Name: strings.ReplaceAll(name, "/", "_"), Case: name}
	if at := slices.IndexFunc(named, func(n Named) bool { return n.Name == name }); at >= 0 {
		found = named[at]
	}
	suite := strings.SplitN(found.Case, "/", 2)[0]
	var cases []Case
	var err error
	if suite == ownSuite {
		cases, err = readSuite(own, ownSuite)
	} else {
		cases, err = Cases(root, suite)
	}
	if err != nil {
		return Named{}, Case{}, err
	}
	at := slices.IndexFunc(cases, func(c Case) bool { return c.Name() == found.Case })
	if at < 0 {
		return Named{}, Case{}, fmt.Errorf("no workload is called %q; there are %s, and every one of upstream's by its long name, as in %s",
			name, strings.Join(shortNames(), ", "), filepath.ToSlash(named[0].Case))
	}
	return found, cases[at], nil
}

func shortNames() []string {
	var all []string
	for _, n := range named {
		all = append(all, n.Name)
	}
	return all
}
