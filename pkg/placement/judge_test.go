// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/parallelize"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/podtopologyspread"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

var (
	judgeSeed = flag.Uint64("judge-seed", 20261129, "seed of the random gangs judged by the stock filters")
	judged    = flag.Int("judged", 600, "number of random gangs judged by the stock filters")
)

// judge runs the stock filters PodTopologySpread and InterPodAffinity, and checks node
// affinity, taints and CPUs.
type judge struct {
	fwk.Handle
	t        *testing.T
	nodes    []*v1.Node
	pods     []*v1.Pod
	factory  informers.SharedInformerFactory
	snapshot fwk.SharedLister
	plugins  []stockFilter
}

type stockFilter interface {
	fwk.PreFilterPlugin
	fwk.FilterPlugin
}

func (j *judge) ProfileName() string                                    { return profileName }
func (j *judge) SnapshotSharedLister() fwk.SharedLister                 { return j.snapshot }
func (j *judge) Parallelizer() fwk.Parallelizer                         { return parallelize.NewParallelizer(1) }
func (j *judge) SharedInformerFactory() informers.SharedInformerFactory { return j.factory }

// with returns a judge of the cluster with further pods on nodes.
func (j *judge) with(pods ...*v1.Pod) *judge {
	next := *j
	next.pods = append(slices.Clone(j.pods), pods...)
	next.snapshot = schedulercache.NewSnapshot(next.pods, next.nodes)
	spread, err := podtopologyspread.New(next.t.Context(), &config.PodTopologySpreadArgs{DefaultingType: config.ListDefaulting}, &next,
		feature.Features{EnableNodeInclusionPolicyInPodTopologySpread: true, EnableMatchLabelKeysInPodTopologySpread: true})
	if err != nil {
		next.t.Fatal(err)
	}
	affinity, err := interpodaffinity.New(next.t.Context(), &config.InterPodAffinityArgs{}, &next, feature.Features{})
	if err != nil {
		next.t.Fatal(err)
	}
	next.plugins = []stockFilter{spread.(stockFilter), affinity.(stockFilter)}
	return &next
}

func (j *judge) infos() []fwk.NodeInfo {
	infos, err := j.snapshot.NodeInfos().List()
	if err != nil {
		j.t.Fatal(err)
	}
	slices.SortFunc(infos, func(a, b fwk.NodeInfo) int { return cmpNames(a.Node(), b.Node()) })
	return infos
}

// RunPreFilterPlugins runs PreFilter.
func (j *judge) RunPreFilterPlugins(ctx context.Context, state fwk.CycleState, pod *v1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	skip := sets.New[string]()
	for _, p := range j.plugins {
		_, status := p.PreFilter(ctx, state, pod, j.infos())
		switch {
		case status.IsSkip():
			skip.Insert(p.Name())
		case !status.IsSuccess():
			return nil, status, nil
		}
	}
	state.SetSkipFilterPlugins(skip)
	return nil, nil, nil
}

// RunPreFilterExtensionAddPod runs AddPod.
func (j *judge) RunPreFilterExtensionAddPod(ctx context.Context, state fwk.CycleState, pod *v1.Pod, added fwk.PodInfo, info fwk.NodeInfo) *fwk.Status {
	for _, p := range j.plugins {
		if !state.GetSkipFilterPlugins().Has(p.Name()) {
			if status := p.PreFilterExtensions().AddPod(ctx, state, pod, added, info); !status.IsSuccess() {
				return status
			}
		}
	}
	return nil
}

// RunFilterPlugins runs Filter.
func (j *judge) RunFilterPlugins(ctx context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if !NodeEligible(pod, info.Node()) {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "not eligible")
	}
	for _, p := range j.plugins {
		if !state.GetSkipFilterPlugins().Has(p.Name()) {
			if status := p.Filter(ctx, state, pod, info); !status.IsSuccess() {
				return status
			}
		}
	}
	return nil
}

// accepts runs a scheduling cycle of a pod for one node.
func (j *judge) accepts(pod *v1.Pod, node string) *fwk.Status {
	info, err := j.snapshot.NodeInfos().Get(node)
	if err != nil {
		j.t.Fatal(err)
	}
	free := info.Node().Status.Allocatable.Cpu().MilliValue() - info.GetRequested().GetMilliCPU()
	if pod.Spec.Containers[0].Resources.Requests.Cpu().MilliValue() > free {
		return fwk.NewStatus(fwk.Unschedulable, "no CPU")
	}
	state := framework.NewCycleState()
	if _, status, _ := j.RunPreFilterPlugins(j.t.Context(), state, pod); !status.IsSuccess() {
		return status
	}
	return j.RunFilterPlugins(j.t.Context(), state, pod, info)
}

func bound(pod *v1.Pod, node string) *v1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	return pod
}

// fits reports whether some order and nodes of the pods pass the stock filters.
func (j *judge) fits(pods []*v1.Pod, failed map[string]bool) bool {
	if len(pods) == 0 {
		return true
	}
	key := ""
	for _, pod := range j.pods {
		key += pod.Name + "=" + pod.Spec.NodeName + " "
	}
	if failed[key] {
		return false
	}
	failed[key] = true
	for i, pod := range pods {
		rest := slices.Delete(slices.Clone(pods), i, i+1)
		for _, node := range j.nodes {
			if j.accepts(pod, node.Name).IsSuccess() {
				next := j.with(bound(pod, node.Name))
				slices.SortFunc(next.pods, func(a, b *v1.Pod) int {
					return cmpNames(&v1.Node{ObjectMeta: a.ObjectMeta}, &v1.Node{ObjectMeta: b.ObjectMeta})
				})
				if next.fits(rest, failed) {
					return true
				}
			}
		}
	}
	return false
}

// The stock filters accept what the planner places, member by member in its order. What it
// refuses has no order and no nodes that they accept.
func TestStockFiltersAgree(t *testing.T) {
	schedulermetrics.Register()
	placed := 0
	for i := range *judged {
		rng := rand.New(rand.NewPCG(*judgeSeed, uint64(i)))
		j, request := randomCase(t, rng)
		placer := New(j, newProfile(), Options{SearchBudget: 1 << 18, MaxBypass: time.Minute})
		out, err := placer.Place(t.Context(), request, j.infos())
		if err != nil {
			t.Fatal(err)
		}
		var pods []*v1.Pod
		for _, m := range request.Members {
			pods = append(pods, m.Pod)
		}
		if !out.Placed {
			if j.fits(pods, map[string]bool{}) {
				t.Fatalf("case %d of seed %d is refused, but the stock filters accept some nodes: %s\n%s", i, *judgeSeed, out.Refusal, describeWorld(j, pods))
			}
			continue
		}
		placed++
		slices.SortFunc(pods, func(a, b *v1.Pod) int { return out.Assignment.Order[a.UID] - out.Assignment.Order[b.UID] })
		now := j
		for _, pod := range pods {
			node := out.Assignment.Nodes[pod.UID]
			if status := now.accepts(pod, node); !status.IsSuccess() {
				t.Fatalf("case %d of seed %d: %s on %s: %s\norder %v nodes %v\n%s", i, *judgeSeed, pod.Name, node, status.Message(),
					out.Assignment.Order, out.Assignment.Nodes, describeWorld(j, pods))
			}
			now = now.with(bound(pod, node))
		}
	}
	t.Logf("%d gangs of seed %d: %d placed, the stock filters agree on all", *judged, *judgeSeed, placed)
}

func newProfile() *cluster.Profile {
	profile := &cluster.Profile{}
	profile.SetLevels([]cluster.Level{{Name: "leaf", NodeLabel: "leaf"}})
	return profile
}

func describeWorld(j *judge, pods []*v1.Pod) string {
	s := ""
	for _, n := range j.nodes {
		s += fmt.Sprintf("node %s %v taints %v cpu %v\n", n.Name, n.Labels, n.Spec.Taints, n.Status.Allocatable.Cpu())
	}
	for _, p := range append(slices.Clone(j.pods), pods...) {
		s += fmt.Sprintf("pod %s/%s on %q labels %v deleted %v cpu %v spec %+v\n", p.Namespace, p.Name, p.Spec.NodeName, p.Labels, p.DeletionTimestamp != nil,
			p.Spec.Containers[0].Resources.Requests.Cpu(), p.Spec.TopologySpreadConstraints)
		if p.Spec.Affinity != nil {
			s += fmt.Sprintf("   affinity %v %v\n", p.Spec.Affinity.PodAffinity, p.Spec.Affinity.PodAntiAffinity)
		}
		s += fmt.Sprintf("   selector %v tolerations %v\n", p.Spec.NodeSelector, p.Spec.Tolerations)
	}
	return s
}

// randomCase draws a cluster with pods, and a gang of at most four members of two kinds.
func randomCase(t *testing.T, rng *rand.Rand) (*judge, gangs.Request) {
	d := drawer{rng}
	j := &judge{t: t, factory: informers.NewSharedInformerFactory(fake.NewClientset(), 0)}
	for i := range 2 + rng.IntN(3) {
		j.nodes = append(j.nodes, d.node(fmt.Sprint("n", i)))
	}
	for i := range rng.IntN(4) {
		pod := cpuPod(fmt.Sprint("runs-", i), "1", j.nodes[rng.IntN(len(j.nodes))].Name)
		pod.Labels = d.labels()
		if d.often(2) {
			pod.DeletionTimestamp = &metav1.Time{}
		}
		if d.often(2) {
			pod.Namespace = "other"
		}
		j.pods = append(j.pods, pod)
	}
	request := anywhere(0, 0)
	request.Gang.Roles = nil
	left := 4
	for k := range 1 + rng.IntN(2) {
		template := d.template()
		n := 1 + rng.IntN(left-1+k)
		left = max(1, left-n)
		role := fmt.Sprint("role", k)
		request.Gang.Roles = append(request.Gang.Roles, gangs.Role{Name: role, Min: n})
		for i := range n {
			pod := template.DeepCopy()
			pod.Name = fmt.Sprint(role, "-", i)
			pod.UID = cpuPod(pod.Name, "1", "").UID
			request.Members = append(request.Members, gangs.Member{Key: request.Gang.Key, Pod: pod, Role: role, Rank: gangs.Rank{Known: true, Index: int64(i)}})
		}
		request.Gang.Min += n
	}
	return j.with(), request
}

type drawer struct{ *rand.Rand }

// often returns true in p of ten cases.
func (d drawer) often(p int) bool { return d.IntN(10) < p }

func (d drawer) node(name string) *v1.Node {
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name}}}
	for _, key := range []string{"leaf", "zone", "rack"} {
		if !d.often(1) {
			n.Labels[key] = string(rune('a' + d.IntN(3)))
		}
	}
	if d.often(4) {
		n.Spec.Taints = []v1.Taint{{Key: "t", Effect: v1.TaintEffectNoSchedule}}
	}
	n.Status.Allocatable = v1.ResourceList{v1.ResourceCPU: resource.MustParse(fmt.Sprint(1 + d.IntN(5))), v1.ResourcePods: resource.MustParse("10")}
	return n
}

func (d drawer) labels() map[string]string {
	return map[string]string{"app": string(rune('a' + d.IntN(2))), "version": string(rune('x' + d.IntN(2)))}
}

func (d drawer) selector() *metav1.LabelSelector {
	if d.IntN(12) == 0 {
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": string(rune('a' + d.IntN(2)))}}
}

func (d drawer) key() string {
	return []string{v1.LabelHostname, "leaf", "zone", "rack"}[d.IntN(4)]
}

func (d drawer) template() *v1.Pod {
	pod := cpuPod("template", "1", "")
	pod.Labels = d.labels()
	if d.often(2) {
		pod.Spec.NodeSelector = map[string]string{"rack": string(rune('a' + d.IntN(3)))}
	}
	if d.often(4) {
		pod.Spec.Tolerations = []v1.Toleration{{Key: "t", Operator: v1.TolerationOpExists}}
	}
	for range d.IntN(3) {
		pod.Spec.TopologySpreadConstraints = append(pod.Spec.TopologySpreadConstraints, d.constraint())
	}
	pod.Spec.Affinity = &v1.Affinity{}
	if d.often(4) {
		pod.Spec.Affinity.PodAffinity = &v1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: d.terms()}
	}
	if d.often(2) {
		pod.Spec.Affinity.PodAntiAffinity = &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: d.terms()}
	}
	return pod
}

func (d drawer) terms() []v1.PodAffinityTerm {
	var terms []v1.PodAffinityTerm
	for range 1 + d.IntN(10)/7 {
		term := v1.PodAffinityTerm{TopologyKey: d.key(), LabelSelector: d.selector()}
		switch d.IntN(8) {
		case 0:
			term.Namespaces = []string{"other"}
		case 1:
			term.NamespaceSelector = &metav1.LabelSelector{}
		}
		terms = append(terms, term)
	}
	return terms
}

func (d drawer) constraint() v1.TopologySpreadConstraint {
	c := v1.TopologySpreadConstraint{MaxSkew: int32(1 + d.IntN(2)), TopologyKey: d.key(), LabelSelector: d.selector(), WhenUnsatisfiable: v1.DoNotSchedule}
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
	if d.often(3) {
		c.MatchLabelKeys = []string{"version"}
	}
	if d.often(1) {
		c.WhenUnsatisfiable = v1.ScheduleAnyway
	}
	return c
}
