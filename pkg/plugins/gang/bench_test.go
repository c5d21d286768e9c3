// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/gangscheduling"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	"k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
)

// The benchmark measures one comparison of the queue, for members of several numbers of
// gangs and for single pods, and compares it with the in-tree plugin.
func BenchmarkLess(b *testing.B) {
	for _, gangs := range []int{100, 1000, 5000} {
		members, singles := queueOf(b, gangs)
		ours := members.plugin.Less
		for _, bench := range []struct {
			name string
			less func(a, b fwk.QueuedEntityInfo) bool
			pods []*framework.QueuedPodInfo
		}{
			{"queue=members/plugin=Gang", ours, members.pods},
			{"queue=singles/plugin=Gang", ours, singles},
			{"queue=singles/plugin=PrioritySort", (&queuesort.PrioritySort{}).Less, singles},
		} {
			b.Run(fmt.Sprintf("gangs=%d/%s", gangs, bench.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					bench.less(bench.pods[i], bench.pods[(i*7+1)%len(bench.pods)])
					i = (i + 1) % len(bench.pods)
				}
			})
		}
	}
}

// membersOf has the pods of gangs, and the plugin whose tracker has them.
type membersOf struct {
	plugin *Gang
	pods   []*framework.QueuedPodInfo
}

// queueOf makes so many gangs of four, and as many single pods.
func queueOf(b *testing.B, gangs int) (membersOf, []*framework.QueuedPodInfo) {
	members := membersOf{plugin: pluginWith(b, nil)}
	var singles []*framework.QueuedPodInfo
	for i := range gangs {
		at := epoch.Add(time.Duration(i) * time.Millisecond)
		for j := range 4 {
			pod, single := member(fmt.Sprint("g", i), fmt.Sprint("m", i, "-", j), 4), member("", fmt.Sprint("s", i, "-", j), 0)
			members.plugin.tracker.Upsert(pod, epoch)
			members.pods = append(members.pods, queued(b, pod, at))
			singles = append(singles, queued(b, single, at))
		}
	}
	return members, singles
}

// clusterSizes are the numbers of nodes in the benchmarks below.
var clusterSizes = []int{100, 1000, 5000}

// gangSize is the number of members of the placed gang.
const gangSize = 100

// benchHandle has the parts of the framework handle that both plugins use.
type benchHandle struct {
	fwk.Handle
	groups fwk.PodGroupManager
	nodes  fwk.SharedLister
}

func (h benchHandle) NominatedPodsForNode(string) []fwk.PodInfo { return nil }
func (h benchHandle) PodGroupManager() fwk.PodGroupManager      { return h.groups }
func (h benchHandle) SnapshotSharedLister() fwk.SharedLister    { return h.nodes }
func (h benchHandle) Activate(klog.Logger, map[string]*v1.Pod)  {}
func (h benchHandle) GetWaitingPod(types.UID) fwk.WaitingPod    { return nil }

// clusterOf returns n nodes.
func clusterOf(n int) (nodes []*v1.Node) {
	for i := range n {
		nodes = append(nodes, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%04d", i)}})
	}
	return nodes
}

// planned plans a gang on the nodes, among other waiting gangs. The gang is Binding, or
// waits for its quorum forever if short is positive.
func planned(b *testing.B, nodes []*v1.Node, short int) (*Gang, []*v1.Pod) {
	b.Helper()
	g := pluginWith(b, nodes)
	for i := range len(nodes) / 10 {
		name := fmt.Sprint("other", i)
		g.tracker.Upsert(member(name, name+"-0", 1), epoch)
	}
	plan := gangs.Assignment{Nodes: map[types.UID]string{}, Roles: map[types.UID]gangs.RoleSignature{}, Short: map[string]int{"worker": short}}
	var pods []*v1.Pod
	for i := range gangSize {
		pod := member("g", fmt.Sprint("m", i), gangSize)
		g.tracker.Upsert(pod, epoch)
		plan.Nodes[pod.UID], plan.Roles[pod.UID] = nodes[i].Name, gangs.RoleSignature{Role: "worker"}
		pods = append(pods, pod)
	}
	g.answer(b, gangs.LabelKey("ml", "g"), &gangstate.Answer{Placed: true, Assignment: plan}, epoch)
	g.handle, g.args = benchHandle{}, &config.GangArgs{PermitTimeout: time.Minute}
	g.recovered.Do(func() {})
	return g, pods
}

// The benchmark measures restricting a pod to one node: by a plan, and in the in-tree
// plugin by the pod's own affinity, like a DaemonSet's.
func BenchmarkPlannedPreFilter(b *testing.B) {
	for _, n := range clusterSizes {
		nodes := clusterOf(n)
		infos, err := cache.NewSnapshot(nil, nodes).NodeInfos().List()
		if err != nil {
			b.Fatal(err)
		}
		g, pods := planned(b, nodes, 0)
		affinity, err := nodeaffinity.New(context.Background(), &stockconfig.NodeAffinityArgs{}, benchHandle{}, feature.Features{})
		if err != nil {
			b.Fatal(err)
		}
		for _, bench := range []struct {
			name   string
			plugin fwk.PreFilterPlugin
			pods   []*v1.Pod
		}{{"Gang", g, pods}, {"NodeAffinity", affinity.(fwk.PreFilterPlugin), pinnedPods(nodes)}} {
			b.Run(fmt.Sprintf("nodes=%d/plugin=%s", n, bench.name), func(b *testing.B) {
				preFilter := func(pod *v1.Pod) {
					result, status := bench.plugin.PreFilter(context.Background(), framework.NewCycleState(), pod, infos)
					if !status.IsSuccess() || len(result.NodeNames) != 1 {
						b.Fatalf("%v, %v", result, status)
					}
				}
				preFilter(bench.pods[0]) // the first plan reads the cluster
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					preFilter(bench.pods[i%gangSize])
				}
			})
		}
	}
}

// pinnedPods returns pods whose affinity names their node.
func pinnedPods(nodes []*v1.Node) (pods []*v1.Pod) {
	for i := range gangSize {
		pod := member("", fmt.Sprint("p", i), 0)
		pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
			NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{
				{Key: metav1.ObjectNameField, Operator: v1.NodeSelectorOpIn, Values: []string{nodes[i].Name}},
			}}},
		}}}
		pods = append(pods, pod)
	}
	return pods
}

// The benchmark measures Permit of a member that waits for its gang.
func BenchmarkPermit(b *testing.B) {
	featuregatetesting.SetFeatureGateDuringTest(b, utilfeature.DefaultFeatureGate, features.GenericWorkload, true) // the in-tree plugin has it on
	for _, n := range clusterSizes {
		nodes := clusterOf(n)
		g, pods := planned(b, nodes, math.MaxInt)
		states := make([]fwk.CycleState, len(pods))
		for i := range pods {
			states[i] = framework.NewCycleState()
			states[i].Write(destinationKey, &destination{key: gangs.LabelKey("ml", "g"), node: nodes[i].Name})
		}
		b.Run(fmt.Sprintf("nodes=%d/plugin=Gang", n), func(b *testing.B) { permit(b, g, states, pods) })
		stock, pods := stockGang(b, nodes)
		b.Run(fmt.Sprintf("nodes=%d/plugin=GangScheduling", n), func(b *testing.B) { permit(b, stock, states, pods) })
	}
}

func permit(b *testing.B, plugin fwk.PermitPlugin, states []fwk.CycleState, pods []*v1.Pod) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if status, _ := plugin.Permit(context.Background(), states[i%len(pods)], pods[i%len(pods)], "node"); status.Code() != fwk.Wait {
			b.Fatal(status)
		}
	}
}

// stockGang returns the in-tree plugin and a gang of which half waits in Permit.
func stockGang(b *testing.B, nodes []*v1.Node) (fwk.PermitPlugin, []*v1.Pod) {
	b.Helper()
	ctx, logger := b.Context(), klog.Background()
	metrics.Register() // the cache counts itself
	known, seen := cache.New(ctx, nil, true, false), cache.NewEmptySnapshot()
	for _, node := range nodes {
		known.AddNode(logger, node)
	}
	group := "g"
	known.AddPodGroup(&schedulingv1beta1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: group},
		Spec: schedulingv1beta1.PodGroupSpec{SchedulingPolicy: schedulingv1beta1.PodGroupSchedulingPolicy{
			Gang: &schedulingv1beta1.GangSchedulingPolicy{MinCount: gangSize},
		}},
	})
	var waiting []*v1.Pod
	for i := range gangSize {
		pod := member("", fmt.Sprint("m", i), 0)
		pod.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &group}
		known.AddPodGroupMember(pod)
		if i%2 == 1 {
			continue
		}
		pod = placedOn(pod, nodes[i].Name)
		if err := known.AssumePod(logger, pod); err != nil {
			b.Fatal(err)
		}
		waiting = append(waiting, pod)
	}
	if err := known.UpdateSnapshot(logger, seen); err != nil {
		b.Fatal(err)
	}
	plugin, err := gangscheduling.New(ctx, nil, benchHandle{groups: known, nodes: seen}, feature.Features{EnableGenericWorkload: true})
	if err != nil {
		b.Fatal(err)
	}
	return plugin.(fwk.PermitPlugin), waiting
}
