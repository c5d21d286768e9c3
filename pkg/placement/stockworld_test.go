// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	judgedProfile = "dovetail"
	roleLabel     = "role"
	zoneKey       = v1.LabelTopologyZone
	rackKey       = "example.com/rack"
	poolKey       = "pool"
)

type role = gangs.Role

// world is a small cluster and a gang without nodes.
type world struct {
	nodes   []*v1.Node
	running []*v1.Pod
	// objects are those of the API server that filters read.
	objects []runtime.Object
	members []*v1.Pod
	gang    gangs.Gang
	// plugins are filters of the profile beside the stock ones. wrap, if set, replaces the
	// framework that plans use.
	plugins frameworkruntime.Registry
	wrap    func(framework.Framework) framework.Framework
}

// source declares the world's gang.
type source struct{ w *world }

func (s source) Name() string { return "random" }

func (s source) Key(pod *v1.Pod) (gangs.Key, bool) {
	return s.w.gang.Key, pod.Labels[roleLabel] != "" && pod.Namespace == s.w.gang.Key.Namespace
}

func (s source) Role(pod *v1.Pod) string { return roleOf(pod) }

func (s source) Rank(*v1.Pod) gangs.Rank { return gangs.Rank{} }

func (s source) Gang(gangs.Key, []gangs.Member) (gangs.Gang, error) { return s.w.gang, nil }

func roleOf(pod *v1.Pod) string { return pod.Labels[roleLabel] }

// kindOf is equal for members that the filters cannot tell apart.
func (w *world) kindOf(pod *v1.Pod) string {
	spec, err := pod.Spec.Marshal()
	if err != nil {
		return pod.Name
	}
	return fmt.Sprint(pod.Labels, string(spec))
}

func (w *world) waitsForVolumes() bool {
	return slices.ContainsFunc(w.objects, func(o runtime.Object) bool {
		claim, ok := o.(*v1.PersistentVolumeClaim)
		return ok && claim.Spec.VolumeName == ""
	})
}

// needsLuck reports whether the order of the members may decide who gets a volume, since
// several nodes can use it: the planner accepts a plan that succeeds in a fortunate order.
func (w *world) needsLuck() bool {
	return w.waitsForVolumes() && slices.ContainsFunc(w.objects, func(o runtime.Object) bool {
		v, ok := o.(*v1.PersistentVolume)
		return ok && v.Spec.ClaimRef == nil && v.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Key != v1.LabelHostname
	})
}

// pending returns the members without a node.
func (w *world) pending() []*v1.Pod {
	return slices.DeleteFunc(slices.Clone(w.members), func(pod *v1.Pod) bool { return pod.Spec.NodeName != "" })
}

// allowedDomain reports whether the gang's required level allows a further member on a node.
func (w *world) allowedDomain(s *stockFilters, node *v1.Node) bool {
	if w.gang.Topology.Required == "" {
		return true
	}
	zone := node.Labels[zoneKey]
	for _, pod := range w.members {
		if placed := s.pods[pod.UID]; placed != nil {
			at := slices.IndexFunc(w.nodes, func(n *v1.Node) bool { return n.Name == placed.Spec.NodeName })
			if zone != w.nodes[at].Labels[zoneKey] {
				return false
			}
		}
	}
	return zone != ""
}

// asks are the kinds of things that the members of a world may ask for, as bits.
type asks int

const (
	askPorts asks = 1 << iota
	askApart
	askNear
	askSpread
	askLocal
	askAttach
	allAsks = askAttach<<1 - 1
)

// drawer draws parts of a world.
type drawer struct {
	*rand.Rand
	w    *world
	asks asks
}

// often returns true in so many of ten cases.
func (d drawer) often(p int) bool { return d.IntN(10) < p }

func (d drawer) has(a asks) bool { return d.asks&a != 0 }

func (d drawer) of(words ...string) string { return words[d.IntN(len(words))] }

// drawWorld draws a world whose members ask only for some kinds of things.
func drawWorld(seed, number uint64, only asks) *world {
	w := &world{}
	d := drawer{rand.New(rand.NewPCG(seed, number)), w, 0}
	for range 1 + d.IntN(3) { // all at once leave no placement
		ask := asks(1) << d.IntN(7)
		for only&ask == 0 && only != 0 {
			ask = asks(1) << d.IntN(7)
		}
		d.asks |= ask & only
	}
	for i := range 2 + d.IntN(4) {
		w.nodes = append(w.nodes, d.node(fmt.Sprint("n", i)))
	}
	for i := range d.IntN(4) {
		w.running = append(w.running, d.runs(fmt.Sprint("runs-", i)))
	}
	d.gang()
	d.storage()
	return w
}

func (d drawer) node(name string) *v1.Node {
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name}}}
	if d.often(1) {
		n.Labels[v1.LabelHostname] = "host-of-" + name
	}
	if !d.often(1) {
		n.Labels[zoneKey] = d.of("a", "b")
	}
	if !d.often(1) {
		n.Labels[rackKey] = d.of("x", "y", "z")
	}
	n.Labels[poolKey] = d.of("blue", "green")
	if d.often(2) {
		effects := []v1.TaintEffect{v1.TaintEffectNoSchedule, v1.TaintEffectNoExecute, v1.TaintEffectPreferNoSchedule}
		n.Spec.Taints = []v1.Taint{{Key: "special", Effect: effects[d.IntN(3)]}}
	}
	n.Spec.Unschedulable = d.IntN(15) == 0
	n.Status.Allocatable = v1.ResourceList{
		v1.ResourceCPU: resource.MustParse(fmt.Sprint(1 + d.IntN(4))), v1.ResourcePods: resource.MustParse("20"),
	}
	return n
}

func newPod(namespace, name string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name), Labels: map[string]string{}},
		Spec:       v1.PodSpec{SchedulerName: judgedProfile, Containers: []v1.Container{{Name: "c"}}},
	}
}

func setCPU(pod *v1.Pod, cpu string) {
	pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)}
}

// runs draws a pod on a node that is not of the gang.
func (d drawer) runs(name string) *v1.Pod {
	pod := newPod(d.of("ml", "ml", "ml", "other"), name)
	pod.Spec.NodeName = d.w.nodes[d.IntN(len(d.w.nodes))].Name
	setCPU(pod, d.of("100m", "500m", "1"))
	d.label(pod)
	if d.has(askPorts) && d.often(4) {
		d.ports(pod)
	}
	d.terms(pod, 3, 0)
	if d.IntN(8) == 0 {
		pod.DeletionTimestamp = &metav1.Time{}
	}
	return pod
}

func (d drawer) label(pod *v1.Pod) {
	pod.Labels["app"], pod.Labels["version"] = d.of("a", "b"), d.of("1", "2")
}

// gang draws members of up to three roles.
func (d drawer) gang() {
	w := d.w
	w.gang = gangs.Gang{Key: gangs.Key{Source: "random", Namespace: "ml", Name: "train"}}
	if d.IntN(8) == 0 {
		w.gang.Topology.Required = "zone"
	}
	left := 2 + d.IntN(4)
	if len(w.nodes) == 5 {
		left = min(left, 4)
	}
	for r := 0; left > 0 && r < 3; r++ {
		n := 1 + d.IntN(left)
		left -= n
		name := fmt.Sprint("role", r)
		template := d.template(name)
		least := n
		if d.IntN(5) == 0 {
			least = 1 + d.IntN(n)
		}
		w.gang.Roles = append(w.gang.Roles, role{Name: name, Min: least, Want: n})
		w.gang.Min += least
		for i := range n {
			pod := template.DeepCopy()
			pod.Name = fmt.Sprint(name, "-", i)
			pod.UID = types.UID(pod.Name)
			if d.IntN(10) == 0 {
				pod.Spec.NodeSelector = map[string]string{poolKey: d.of("blue", "green")}
			}
			if d.IntN(10) == 0 {
				d.label(pod)
			}
			if d.IntN(20) == 0 {
				pod.Spec.NodeName = w.nodes[d.IntN(len(w.nodes))].Name
			}
			w.members = append(w.members, pod)
		}
	}
}

func (d drawer) template(name string) *v1.Pod {
	pod := newPod("ml", name)
	pod.Labels[roleLabel] = name
	d.label(pod)
	setCPU(pod, d.of("100m", "500m", "1", "1500m"))
	if d.often(2) {
		pod.Spec.NodeSelector = map[string]string{poolKey: d.of("blue", "green")}
	}
	if d.often(2) {
		d.nodeAffinity(pod)
	}
	if d.often(4) {
		pod.Spec.Tolerations = []v1.Toleration{{Key: "special", Operator: v1.TolerationOpExists}}
	}
	if d.has(askPorts) && d.often(7) {
		d.ports(pod)
	}
	d.terms(pod, 6, 5)
	if d.has(askSpread) && d.often(7) {
		for range 1 + d.IntN(2) {
			pod.Spec.TopologySpreadConstraints = append(pod.Spec.TopologySpreadConstraints, d.constraint())
		}
	}
	return pod
}

func (d drawer) ports(pod *v1.Pod) {
	for range 1 + d.IntN(2) {
		pod.Spec.Containers[0].Ports = append(pod.Spec.Containers[0].Ports, v1.ContainerPort{
			HostPort: int32(7000 + d.IntN(2)), HostIP: d.of("", "", "", "10.0.0.1", "10.0.0.2"),
			Protocol: v1.Protocol(d.of("TCP", "TCP", "TCP", "UDP")),
		})
	}
}

func affinityOf(pod *v1.Pod) *v1.Affinity {
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &v1.Affinity{}
	}
	return pod.Spec.Affinity
}

func (d drawer) nodeAffinity(pod *v1.Pod) {
	term := v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{{
		Key: d.of(zoneKey, rackKey), Operator: v1.NodeSelectorOperator(d.of("In", "NotIn")), Values: []string{d.of("a", "b", "x", "y")},
	}}}
	if d.often(3) {
		name := d.w.nodes[d.IntN(len(d.w.nodes))].Name
		term = v1.NodeSelectorTerm{MatchFields: []v1.NodeSelectorRequirement{{
			Key: metav1.ObjectNameField, Operator: v1.NodeSelectorOperator(d.of("In", "NotIn", "NotIn")), Values: []string{name},
		}}}
	}
	affinityOf(pod).NodeAffinity = &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
		NodeSelectorTerms: []v1.NodeSelectorTerm{term},
	}}
}

// terms draws required anti-affinity and affinity, each in so many of ten cases.
func (d drawer) terms(pod *v1.Pod, apart, near int) {
	if d.has(askApart) && d.often(apart) {
		affinityOf(pod).PodAntiAffinity = &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: d.podTerms()}
	}
	if d.has(askNear) && d.often(near) {
		affinityOf(pod).PodAffinity = &v1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: d.podTerms()}
	}
}

func (d drawer) podTerms() []v1.PodAffinityTerm {
	var terms []v1.PodAffinityTerm
	for range 1 + d.IntN(4)/3 {
		term := v1.PodAffinityTerm{TopologyKey: d.key(), LabelSelector: d.selector()}
		switch n := d.IntN(12); {
		case n == 0:
			term.Namespaces = []string{"other"}
		case n == 1:
			term.NamespaceSelector = &metav1.LabelSelector{}
		case n < 4:
			term.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": d.of("red", "blue")}}
		}
		terms = append(terms, term)
	}
	return terms
}

func (d drawer) key() string { return d.of(v1.LabelHostname, v1.LabelHostname, zoneKey, rackKey) }

func (d drawer) selector() *metav1.LabelSelector {
	switch d.IntN(15) {
	case 0:
		return &metav1.LabelSelector{}
	case 1:
		return nil
	case 2, 3, 4, 5:
		return &metav1.LabelSelector{MatchLabels: map[string]string{roleLabel: d.of("role0", "role1", "role2")}}
	case 6:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{d.of("a", "b")}}}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": d.of("a", "b")}}
}

func (d drawer) constraint() v1.TopologySpreadConstraint {
	c := v1.TopologySpreadConstraint{
		MaxSkew: int32(1 + d.IntN(2)), TopologyKey: d.key(), LabelSelector: d.selector(), WhenUnsatisfiable: v1.DoNotSchedule,
	}
	policies := []v1.NodeInclusionPolicy{v1.NodeInclusionPolicyHonor, v1.NodeInclusionPolicyIgnore}
	if d.often(3) {
		c.NodeAffinityPolicy = &policies[d.IntN(2)]
	}
	if d.often(5) {
		c.NodeTaintsPolicy = &policies[d.IntN(2)]
	}
	if d.often(2) {
		c.MinDomains = new(int32(1 + d.IntN(4)))
	}
	if d.often(2) {
		c.MatchLabelKeys = []string{"version"}
	}
	if d.IntN(8) == 0 {
		c.WhenUnsatisfiable, c.MinDomains = v1.ScheduleAnyway, nil
	}
	return c
}
