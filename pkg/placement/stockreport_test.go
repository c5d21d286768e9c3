// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// tally counts verdicts.
type tally struct {
	placed, refused, undecided, unlucky int
	// lessons are those of each gang, sorted before use. by counts them by filter.
	lessons []int
	by      map[string]int
	faults  map[string]int
}

func (a *tally) add(v verdict) {
	if a.by == nil {
		a.by, a.faults = map[string]int{}, map[string]int{}
	}
	switch {
	case v.placed:
		a.placed++
	case v.undecided:
		a.undecided++
	case v.unlucky:
		a.unlucky++
	default:
		a.refused++
	}
	a.lessons = append(a.lessons, len(v.lessons))
	for _, by := range v.lessons {
		a.by[by]++
	}
	if v.fault != "" {
		a.faults[v.fault]++
	}
}

// percentile returns the number of lessons that so many percent of the gangs do not exceed.
func (a *tally) percentile(p int) int {
	slices.Sort(a.lessons)
	return a.lessons[(len(a.lessons)-1)*p/100]
}

func (a *tally) describe() string {
	return fmt.Sprintf("%d gangs: %d placed, %d refused, %d refused and not decided by the search, %d refused after an unlucky order of volumes; lessons: median %d, 99 %% %d, most %d, by filter %v; faults %v",
		len(a.lessons), a.placed, a.refused, a.undecided, a.unlucky, a.percentile(50), a.percentile(99), a.percentile(100), a.by, a.faults)
}

func (a *tally) check(t *testing.T) {
	if a.percentile(50) > 0 || a.percentile(99) > 3 {
		t.Errorf("median %d and 99 %% %d lessons, want 0 and at most 3", a.percentile(50), a.percentile(99))
	}
}

// reportFault fails the test with the smallest world that has the same fault.
func reportFault(t *testing.T, v verdict, seed, n uint64, only asks) {
	kind := v.fault
	w := drawWorld(seed, n, only)
	for shrunk := true; shrunk; {
		shrunk = false
		for _, smaller := range smallerWorlds(w) {
			if now := judge(t, smaller, n); now.fault == kind {
				w, v, shrunk = smaller, now, true
				break
			}
		}
	}
	t.Errorf("world %d of seed %d: %s\n%s\n%s\n%s", n, seed, kind, v.detail, strings.Join(v.trace, "\n"), w.describe())
}

// smallerWorlds returns the world without one thing each.
func smallerWorlds(w *world) []*world {
	var out []*world
	add := func(change func(*world)) {
		c := w.clone()
		change(c)
		out = append(out, c)
	}
	for i := range w.members {
		if r := slices.IndexFunc(w.gang.Roles, func(r role) bool { return r.Name == roleOf(w.members[i]) }); len(w.members) > 1 {
			add(func(c *world) {
				c.members = slices.Delete(c.members, i, i+1)
				if left := &c.gang.Roles[r]; left.Want == left.Min {
					left.Min--
					c.gang.Min--
				}
				c.gang.Roles[r].Want--
				c.gang.Roles = slices.DeleteFunc(c.gang.Roles, func(r role) bool { return r.Want == 0 })
			})
		}
	}
	for i := range w.running {
		add(func(c *world) { c.running = slices.Delete(c.running, i, i+1) })
	}
	for i := range w.nodes {
		if !slices.ContainsFunc(slices.Concat(w.running, w.members), func(pod *v1.Pod) bool { return pod.Spec.NodeName == w.nodes[i].Name }) && len(w.nodes) > 1 {
			add(func(c *world) { c.nodes = slices.Delete(c.nodes, i, i+1) })
		}
		add(func(c *world) { c.nodes[i].Spec.Taints, c.nodes[i].Spec.Unschedulable = nil, false })
	}
	for i := range w.members {
		smallerPods(w.members[i], func(change func(*v1.Pod)) { add(func(c *world) { change(c.members[i]) }) })
	}
	for i := range w.running {
		smallerPods(w.running[i], func(change func(*v1.Pod)) { add(func(c *world) { change(c.running[i]) }) })
	}
	for i := range w.objects {
		if pv, ok := w.objects[i].(*v1.PersistentVolume); ok && pv.Spec.ClaimRef == nil {
			add(func(c *world) { c.objects = slices.Delete(c.objects, i, i+1) })
		}
	}
	if w.gang.Topology.Required != "" {
		add(func(c *world) { c.gang.Topology.Required = "" })
	}
	return slices.DeleteFunc(out, func(c *world) bool { return c.describe() == w.describe() })
}

// smallerPods calls add with changes that each remove something from a pod.
func smallerPods(pod *v1.Pod, add func(func(*v1.Pod))) {
	add(func(p *v1.Pod) { p.Spec.NodeSelector = nil })
	add(func(p *v1.Pod) { p.Spec.Tolerations = nil })
	add(func(p *v1.Pod) { p.DeletionTimestamp = nil })
	for i := range pod.Spec.Containers[0].Ports {
		add(func(p *v1.Pod) { p.Spec.Containers[0].Ports = slices.Delete(p.Spec.Containers[0].Ports, i, i+1) })
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		add(func(p *v1.Pod) {
			p.Spec.TopologySpreadConstraints = slices.Delete(p.Spec.TopologySpreadConstraints, i, i+1)
		})
	}
	for i := range pod.Spec.Volumes {
		add(func(p *v1.Pod) { p.Spec.Volumes = slices.Delete(p.Spec.Volumes, i, i+1) })
	}
	if a := pod.Spec.Affinity; a != nil {
		add(func(p *v1.Pod) { p.Spec.Affinity.NodeAffinity = nil })
		add(func(p *v1.Pod) { p.Spec.Affinity.PodAffinity = nil })
		add(func(p *v1.Pod) { p.Spec.Affinity.PodAntiAffinity = nil })
	}
}

func (w *world) clone() *world {
	c := &world{gang: w.gang}
	c.gang.Roles = slices.Clone(w.gang.Roles)
	for _, n := range w.nodes {
		c.nodes = append(c.nodes, n.DeepCopy())
	}
	for _, p := range w.running {
		c.running = append(c.running, p.DeepCopy())
	}
	for _, p := range w.members {
		c.members = append(c.members, p.DeepCopy())
	}
	for _, o := range w.objects {
		c.objects = append(c.objects, o.DeepCopyObject())
	}
	return c
}

// describe writes the world as text.
func (w *world) describe() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "gang")
	for _, r := range w.gang.Roles {
		fmt.Fprintf(b, " %s %d of %d", r.Name, r.Min, r.Want)
	}
	fmt.Fprintf(b, " required %q\n", w.gang.Topology.Required)
	for _, n := range w.nodes {
		fmt.Fprintf(b, "node %s %v cpu %v taints %v unschedulable %v\n", n.Name, n.Labels, n.Status.Allocatable.Cpu(), n.Spec.Taints, n.Spec.Unschedulable)
	}
	for _, p := range slices.Concat(w.running, w.members) {
		describePod(b, p)
	}
	for _, o := range w.objects {
		describeObject(b, o)
	}
	return b.String()
}

func describePod(b *strings.Builder, p *v1.Pod) {
	fmt.Fprintf(b, "pod %s/%s on %q cpu %v labels %v", p.Namespace, p.Name, p.Spec.NodeName, p.Spec.Containers[0].Resources.Requests.Cpu(), p.Labels)
	if p.DeletionTimestamp != nil {
		fmt.Fprintf(b, " terminating")
	}
	for _, port := range p.Spec.Containers[0].Ports {
		fmt.Fprintf(b, " port %s:%d/%s", port.HostIP, port.HostPort, port.Protocol)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Spec.NodeSelector)) {
		fmt.Fprintf(b, " select %s=%s", key, p.Spec.NodeSelector[key])
	}
	if len(p.Spec.Tolerations) > 0 {
		fmt.Fprintf(b, " tolerates")
	}
	for _, v := range p.Spec.Volumes {
		fmt.Fprintf(b, " claim %s", v.Name)
	}
	for _, c := range p.Spec.TopologySpreadConstraints {
		fmt.Fprintf(b, "\n    spread %s", c.String())
	}
	if a := p.Spec.Affinity; a != nil {
		if a.NodeAffinity != nil {
			fmt.Fprintf(b, "\n    nodes %s", a.NodeAffinity.String())
		}
		if a.PodAffinity != nil {
			fmt.Fprintf(b, "\n    near %s", a.PodAffinity.String())
		}
		if a.PodAntiAffinity != nil {
			fmt.Fprintf(b, "\n    apart %s", a.PodAntiAffinity.String())
		}
	}
	fmt.Fprintln(b)
}

func describeObject(b *strings.Builder, o runtime.Object) {
	switch o := o.(type) {
	case *v1.PersistentVolumeClaim:
		fmt.Fprintf(b, "claim %s/%s of class %s: %v %v volume %q %v\n", o.Namespace, o.Name, *o.Spec.StorageClassName,
			o.Spec.AccessModes, o.Spec.Resources.Requests.Storage(), o.Spec.VolumeName, o.Annotations)
	case *v1.PersistentVolume:
		fmt.Fprintf(b, "volume %s of class %s: %v for %v on %v labels %v\n", o.Name, o.Spec.StorageClassName, o.Spec.Capacity.Storage(),
			o.Spec.ClaimRef, o.Spec.NodeAffinity, o.Labels)
	case *storagev1.CSINode:
		for _, driver := range o.Spec.Drivers {
			if driver.Allocatable != nil {
				fmt.Fprintf(b, "node %s attaches %d volumes\n", o.Name, *driver.Allocatable.Count)
			}
		}
	}
}
