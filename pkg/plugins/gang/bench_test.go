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
)

// What one comparison of the queue costs, beside stock's, among members of so many
// gangs and among single pods.
func BenchmarkLess(b *testing.B) {
	for _, gangs := range []int{100, 1000, 5000} {
		members, singles := queueOf(b, gangs)
		ours := members.plugin.Less
		for _, one := range []struct {
			name string
			less func(a, b fwk.QueuedEntityInfo) bool
			pods []*framework.QueuedPodInfo
		}{
			{"queue=members/plugin=Gang", ours, members.pods},
			{"queue=singles/plugin=Gang", ours, singles},
			{"queue=singles/plugin=PrioritySort", (&queuesort.PrioritySort{}).Less, singles},
		} {
			b.Run(fmt.Sprintf("gangs=%d/%s", gangs, one.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					one.less(one.pods[i], one.pods[(i*7+1)%len(one.pods)])
					i = (i + 1) % len(one.pods)
				}
			})
		}
	}
}

// membersOf are the pods of gangs, and the plugin that knows them.
type membersOf struct {
	plugin *Gang
	pods   []*framework.QueuedPodInfo
}

// queueOf makes so many gangs of four, and as many single pods.
func queueOf(b *testing.B, gangs int) (membersOf, []*framework.QueuedPodInfo) {
	w := newWorld(nil, 0)
	members := membersOf{plugin: w.plugin()}
	var singles []*framework.QueuedPodInfo
	for i := range gangs {
		at := epoch.Add(time.Duration(i) * time.Millisecond)
		w.groups.declare(fmt.Sprint("g", i), 4)
		for j := range 4 {
			pod, single := member(fmt.Sprint("g", i), fmt.Sprint("m", i, "-", j)), member("", fmt.Sprint("s", i, "-", j))
			w.book.upsert(pod)
			members.pods = append(members.pods, queued(b, pod, at))
			singles = append(singles, queued(b, single, at))
		}
	}
	return members, singles
}

// clusterSizes are how many nodes a cluster of the benchmarks below has.
var clusterSizes = []int{100, 1000, 5000}

// gangSize is how many members the gang has that is placed in them.
const gangSize = 100

// benchHandle is what both plugins use of the framework's.
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

// clusterOf makes the nodes of one.
func clusterOf(n int) (nodes []*v1.Node) {
	for i := range n {
		nodes = append(nodes, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%04d", i)}})
	}
	return nodes
}

// underWay has a gang planned on the nodes, among so many others that wait, and its gate never opens.
func underWay(b *testing.B, nodes []*v1.Node) (*Gang, []*v1.Pod) {
	b.Helper()
	w := newWorld(nil, 0)
	for i := range len(nodes) / 10 {
		name := fmt.Sprint("other", i)
		w.groups.declare(name, 1)
		w.book.upsert(member(name, name+"-0"))
	}
	key := w.groups.declare("g", gangSize)
	att := &attempt{
		key: key, nodes: map[types.UID]string{}, roles: map[types.UID]string{}, rails: map[types.UID]int{},
		reserved: map[types.UID]string{}, short: map[string]int{"one": math.MaxInt},
	}
	var pods []*v1.Pod
	for i := range gangSize {
		pod := member("g", fmt.Sprint("m", i))
		w.book.upsert(pod)
		att.nodes[pod.UID], att.roles[pod.UID] = nodes[i].Name, "one"
		pods = append(pods, pod)
	}
	if _, whole := w.book.begin(att); !whole {
		b.Fatal("the gang is not whole")
	}
	for _, pod := range pods {
		att.tried[pod.UID] = math.MinInt // however often it comes up
	}
	g := w.plugin(nodes...)
	g.handle, g.args, g.settled = benchHandle{}, &config.GangArgs{PermitTimeout: time.Minute}, func() bool { return true }
	return g, pods
}

// What it costs to leave a pod one node: of a plan, and, with stock, of the pod's own affinity, as a DaemonSet writes it.
func BenchmarkPlannedPreFilter(b *testing.B) {
	for _, n := range clusterSizes {
		nodes := clusterOf(n)
		infos, err := cache.NewSnapshot(nil, nodes).NodeInfos().List()
		if err != nil {
			b.Fatal(err)
		}
		g, pods := underWay(b, nodes)
		affinity, err := nodeaffinity.New(context.Background(), &stockconfig.NodeAffinityArgs{}, benchHandle{}, feature.Features{})
		if err != nil {
			b.Fatal(err)
		}
		for _, one := range []struct {
			name   string
			plugin fwk.PreFilterPlugin
			pods   []*v1.Pod
		}{{"Gang", g, pods}, {"NodeAffinity", affinity.(fwk.PreFilterPlugin), pinnedPods(nodes)}} {
			b.Run(fmt.Sprintf("nodes=%d/plugin=%s", n, one.name), func(b *testing.B) {
				preFilter := func(pod *v1.Pod) {
					result, status := one.plugin.PreFilter(context.Background(), framework.NewCycleState(), pod, infos)
					if !status.IsSuccess() || len(result.NodeNames) != 1 {
						b.Fatalf("%v, %v", result, status)
					}
				}
				preFilter(one.pods[0]) // the first one of a scheduler looks at all gangs
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					preFilter(one.pods[i%gangSize])
				}
			})
		}
	}
}

// pinnedPods name their node.
func pinnedPods(nodes []*v1.Node) (pods []*v1.Pod) {
	for i := range gangSize {
		pod := member("", fmt.Sprint("p", i))
		pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
			NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{
				{Key: metav1.ObjectNameField, Operator: v1.NodeSelectorOpIn, Values: []string{nodes[i].Name}},
			}}},
		}}}
		pods = append(pods, pod)
	}
	return pods
}

// What it costs to make a member wait for its gang.
func BenchmarkPermit(b *testing.B) {
	featuregatetesting.SetFeatureGateDuringTest(b, utilfeature.DefaultFeatureGate, features.GenericWorkload, true) // stock's has it
	for _, n := range clusterSizes {
		nodes := clusterOf(n)
		g, pods := underWay(b, nodes)
		states := make([]fwk.CycleState, len(pods))
		for i := range pods {
			states[i] = framework.NewCycleState()
			states[i].Write(destinationKey, &destination{key: gangs.CoschedulingKey("ml", "g"), node: nodes[i].Name})
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

// stockGang is the in-tree plugin and a gang of which half waits at its gate.
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
		pod := member("", fmt.Sprint("m", i))
		pod.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &group}
		known.AddPodGroupMember(pod)
		if i%2 == 1 {
			continue
		}
		pod = on1(pod, nodes[i].Name)
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
