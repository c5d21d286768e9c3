// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"slices"
	"strings"
	"sync"

	fwk "k8s.io/kube-scheduler/framework"
)

// maxExtensions is how many surveys with further levels a desk keeps. Each costs
// as much memory as the profile's own; workloads of one cluster name few labels.
const maxExtensions = 4

// extensions are the surveys of a desk that have further levels, the latest last.
type extensions struct {
	mu   sync.Mutex
	list []extension
}

type extension struct {
	labels string
	survey *Survey
}

// SurveyWith returns a survey that has, beside the profile's levels, a level for
// each of the node labels that is not one of them, by the label's name.
func (d *Desk) SurveyWith(labels []string, nodes []fwk.NodeInfo) (*Survey, error) {
	base, err := d.Survey()
	if err != nil {
		return nil, err
	}
	labels = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(labels))), func(label string) bool {
		return base.LevelOf(label) != ""
	})
	if len(labels) == 0 {
		return base, nil
	}
	name := strings.Join(labels, " ")
	d.extended.mu.Lock()
	defer d.extended.mu.Unlock()
	at := slices.IndexFunc(d.extended.list, func(one extension) bool { return one.labels == name })
	if at >= 0 {
		return d.extended.list[at].survey, nil
	}
	levels := base.levels
	for _, label := range labels {
		levels = withLevel(levels, label, nodes)
	}
	survey, err := newSurvey(levels, base.devices)
	if err != nil {
		return nil, err
	}
	if len(d.extended.list) == maxExtensions {
		d.extended.list = slices.Delete(d.extended.list, 0, 1)
	}
	d.extended.list = append(d.extended.list, extension{labels: name, survey: survey})
	return survey, nil
}

// withLevel puts a label among the levels, below those whose domains it divides. A
// domain of a level above another is never cut, so what the label names stays whole;
// a level that it does not nest in is cut by it.
func withLevel(levels []Level, label string, nodes []fwk.NodeInfo) []Level {
	at := 0
	for i, level := range levels {
		if level.NodeLabel != "" && divides(label, level.NodeLabel, nodes) {
			at = i + 1
		}
	}
	return slices.Insert(slices.Clone(levels), at, Level{Name: label, NodeLabel: label})
}

// divides says that all nodes with one value of the finer label have one value of the
// coarser.
func divides(finer, coarser string, nodes []fwk.NodeInfo) bool {
	in := map[string]string{}
	for _, info := range nodes {
		node := info.Node()
		if node == nil || node.Labels[finer] == "" {
			continue
		}
		value, known := in[node.Labels[finer]]
		if known && value != node.Labels[coarser] {
			return false
		}
		in[node.Labels[finer]] = node.Labels[coarser]
	}
	return true
}

// LevelOf returns the name of the level whose domains the node label names, "" if
// there is none.
func (s *Survey) LevelOf(label string) string {
	for _, level := range s.levels { // they never change
		if level.DeviceAttribute == "" && level.NodeLabel == label {
			return level.Name
		}
	}
	return ""
}
