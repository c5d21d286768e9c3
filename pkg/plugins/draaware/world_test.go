// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	resourceslicetracker "k8s.io/dynamic-resource-allocation/resourceslice/tracker"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// plugin has the extension points that DRAAware and the in-tree plugin have in common.
type plugin interface {
	fwk.PreFilterPlugin
	fwk.FilterPlugin
	fwk.ScorePlugin
	fwk.ReservePlugin
}

// handle has only the parts of a scheduler that the plugins use.
type handle struct {
	fwk.Handle
	client   kubernetes.Interface
	factory  informers.SharedInformerFactory
	manager  fwk.SharedDRAManager
	recorder *events.FakeRecorder
	profile  string
	groups   map[string]*schedulingv1beta1.PodGroup
	standing standing
	queue    *queue
	// waiting is a pod that waits in Permit.
	waiting types.UID
}

// queue records the pods that the plugins return to the scheduling queue.
type queue struct {
	mu   sync.Mutex
	pods map[string]bool
}

func (h *handle) ClientSet() kubernetes.Interface                        { return h.client }
func (h *handle) SharedInformerFactory() informers.SharedInformerFactory { return h.factory }
func (h *handle) SharedDRAManager() fwk.SharedDRAManager                 { return h.manager }
func (h *handle) EventRecorder() events.EventRecorderLogger              { return h.recorder }
func (h *handle) ProfileName() string                                    { return h.profile }
func (h *handle) PodGroupManager() fwk.PodGroupManager                   { return groupManager{of: h.standing} }
func (h *handle) SnapshotSharedLister() fwk.SharedLister                 { return lister{groups: h.groups} }

// Activate records the pods.
func (h *handle) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	for name := range pods {
		h.queue.pods[name] = true
	}
}

// activated returns the activated pods, sorted.
func (h *handle) activated() []string {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	return slices.Sorted(maps.Keys(h.queue.pods))
}

// lister only lists PodGroups.
type lister struct {
	fwk.SharedLister
	groups map[string]*schedulingv1beta1.PodGroup
}

func (l lister) PodGroups() fwk.PodGroupLister { return l }

func (l lister) Get(_, name string) (*schedulingv1beta1.PodGroup, error) { return l.groups[name], nil }

// world is a scheduler's DRA machinery over some objects. Informers, slice tracker, claim
// tracker and allocator are real; the API server is client-go's fake.
type world struct {
	testing.TB
	handle *handle
	nodes  []fwk.NodeInfo
	seq    int
}

// newWorld starts the machinery with the nodes of the fleet.
func newWorld(t testing.TB, fleetText string, objects ...runtime.Object) *world {
	t.Helper()
	spec, err := fleet.Parse(fleetText)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t}
	for node := range spec.All() {
		info := framework.NewNodeInfo()
		info.SetNode(node.Object())
		w.nodes = append(w.nodes, info)
		for _, slice := range node.Slices() {
			objects = append(objects, slice)
		}
	}
	for _, class := range fleet.Classes() {
		objects = append(objects, class)
	}
	w.start(objects)
	return w
}

func (w *world) start(objects []runtime.Object) {
	ctx, cancel := context.WithCancel(context.Background())
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	claims := assumecache.NewAssumeCache(klog.Background(), factory.Resource().V1().ResourceClaims().Informer(), "ResourceClaim", "", nil)
	tracker, err := resourceslicetracker.StartTracker(ctx, resourceslicetracker.Options{
		EnableDeviceTaintRules: true, EnableConsumableCapacity: true,
		SliceInformer: factory.Resource().V1().ResourceSlices(), TaintInformer: factory.Resource().V1().DeviceTaintRules(), KubeClient: client,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.handle = &handle{
		client: client, factory: factory, recorder: events.NewFakeRecorder(100), profile: "dovetail", queue: &queue{pods: map[string]bool{}},
		manager: dynamicresources.NewDRAManager(ctx, claims, tracker, factory),
	}
	if cache, ok := w.handle.manager.DeviceClassResolver().(interface {
		OnAdd(any, bool)
		OnUpdate(any, any)
		OnDelete(any)
	}); ok {
		if _, err := factory.Resource().V1().DeviceClasses().Informer().AddEventHandler(cache); err != nil {
			w.Fatal(err)
		}
	}
	factory.Core().V1().Pods().Informer()
	factory.Start(ctx.Done())
	w.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	factory.WaitForCacheSync(ctx.Done())
	w.settle(objects)
}

// settle waits until the machinery shows all slices, claims, classes and devices in use.
func (w *world) settle(objects []runtime.Object) {
	counts, taken := map[string]int{}, 0
	for _, object := range objects {
		counts[fmt.Sprintf("%T", object)]++
		if c, ok := object.(*resourceapi.ResourceClaim); ok && c.Status.Allocation != nil {
			for _, result := range c.Status.Allocation.Devices.Results {
				if result.ShareID == nil {
					taken++
				}
			}
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		shown, err := w.handle.manager.ResourceSlices().ListWithDeviceTaintRules()
		if err != nil {
			w.Fatal(err)
		}
		claims, err := w.handle.manager.ResourceClaims().List()
		if err != nil {
			w.Fatal(err)
		}
		if len(shown) == counts["*v1.ResourceSlice"] && len(claims) == counts["*v1.ResourceClaim"] && len(w.inUse()) == taken &&
			w.handle.manager.DeviceClassResolver().GetDeviceClass(fleet.ExtendedResourceGPU) != nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%d slices and %d claims are shown, want %v", len(shown), len(claims), counts)
		}
	}
}

// ours makes DRAAware, with its own profile name.
func (w *world) ours() plugin {
	w.Helper()
	p, _ := w.oursIn()
	return p
}

// oursIn makes DRAAware and what it shares with other plugins of its profile.
func (w *world) oursIn() (plugin, *cluster.Profile) {
	w.Helper()
	w.seq++
	h := *w.handle
	h.profile = fmt.Sprintf("ours-%d", w.seq)
	profile := &cluster.Profile{}
	p, err := draaware.New(context.Background(), nil, &h, profile)
	if err != nil {
		w.Fatal(err)
	}
	return p.(plugin), profile
}

// stock makes the in-tree plugin over the same machinery.
func (w *world) stock() plugin {
	w.Helper()
	w.seq++
	h := *w.handle
	h.profile = fmt.Sprintf("stock-%d", w.seq)
	args := &stockconfig.DynamicResourcesArgs{
		FilterTimeout: &metav1.Duration{Duration: 10 * time.Second}, BindingTimeout: &metav1.Duration{Duration: time.Minute},
	}
	p, err := dynamicresources.New(context.Background(), args, &h, feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate))
	if err != nil {
		w.Fatal(err)
	}
	return p.(plugin)
}

// trip is the scheduling cycle of a pod with a plugin.
type trip struct {
	world  *world
	plugin plugin
	pod    *v1.Pod
	state  *framework.CycleState
	// said is the refusal of each node, by name; "" means feasible.
	said map[string]string
	node string
}

func (w *world) trip(p plugin, pod *v1.Pod) *trip {
	return &trip{world: w, plugin: p, pod: pod, state: framework.NewCycleState(), said: map[string]string{}}
}

// parallelism is the default number of nodes that the scheduler filters concurrently.
const parallelism = 16

// look runs PreFilter, then Filter for all nodes, concurrently like the scheduler. It
// returns the feasible nodes, in order.
func (t *trip) look() []string {
	t.world.Helper()
	if _, status := t.plugin.PreFilter(context.Background(), t.state, t.pod, t.world.nodes); !status.IsSuccess() {
		for _, info := range t.world.nodes {
			t.said[info.Node().Name] = status.Message()
		}
		return nil
	}
	answers := make([]*fwk.Status, len(t.world.nodes))
	var wg sync.WaitGroup
	busy := make(chan struct{}, parallelism)
	for i, info := range t.world.nodes {
		busy <- struct{}{}
		wg.Go(func() {
			answers[i] = t.plugin.Filter(context.Background(), t.state, t.pod, info)
			<-busy
		})
	}
	wg.Wait()
	var feasible []string
	for i, info := range t.world.nodes {
		switch {
		case answers[i].IsSuccess():
			feasible = append(feasible, info.Node().Name)
			t.said[info.Node().Name] = ""
		case answers[i].Code() == fwk.Error:
			t.world.Fatalf("filtering node %s for pod %s: %v", info.Node().Name, t.pod.Name, answers[i].AsError())
		default:
			t.said[info.Node().Name] = answers[i].Message()
		}
	}
	return feasible
}

// best returns the node with the highest score; of equals, the first.
func (t *trip) best(feasible []string) string {
	t.world.Helper()
	if p, ok := t.plugin.(fwk.PreScorePlugin); ok {
		if status := p.PreScore(context.Background(), t.state, t.pod, t.world.nodes); !status.IsSuccess() {
			t.world.Fatalf("PreScore: %v", status)
		}
	}
	best, most := "", int64(-1)
	for _, info := range t.world.nodes {
		if !slices.Contains(feasible, info.Node().Name) {
			continue
		}
		score, status := t.plugin.Score(context.Background(), t.state, t.pod, info)
		if !status.IsSuccess() {
			t.world.Fatalf("Score: %v", status)
		}
		if score > most {
			best, most = info.Node().Name, score
		}
	}
	return best
}

// place runs the cycle up to Reserve and reports whether the pod has a node.
func (t *trip) place() bool {
	t.world.Helper()
	feasible := t.look()
	if len(feasible) == 0 {
		return false
	}
	t.node = t.best(feasible)
	return t.reserve() == ""
}

// reserve returns the reason why Reserve failed, "" if it succeeded.
func (t *trip) reserve() string {
	if status := t.plugin.Reserve(context.Background(), t.state, t.pod, t.node); !status.IsSuccess() {
		t.leave()
		return status.Message()
	}
	return ""
}

// leave unreserves the node.
func (t *trip) leave() { t.plugin.Unreserve(context.Background(), t.state, t.pod, t.node) }

// devices lists the devices of the claims as driver/device, in the order of allocation.
func (t *trip) devices(claims ...*resourceapi.ResourceClaim) []string {
	var held []string
	for _, claim := range claims {
		allocation := t.world.handle.manager.ResourceClaims().GetPendingAllocation(claim.UID)
		if allocation == nil {
			t.world.Fatalf("claim %s has no pending allocation", claim.Name)
		}
		for _, result := range allocation.Devices.Results {
			held = append(held, result.Driver+"/"+result.Device)
		}
	}
	return held
}

// apart counts the NICs of an ND H100 v5 node whose GPU the pod does not have. GPU i and
// NIC 0101+i are a pair there.
func apart(t testing.TB, held []string) int {
	t.Helper()
	gpus := map[int]bool{}
	var nics []int
	for _, device := range held {
		var i int
		if n, _ := fmt.Sscanf(device, "gpu.nvidia.com/gpu-%d", &i); n == 1 {
			gpus[i] = true
		} else if n, _ := fmt.Sscanf(device, "dra.net/pci-010%d-00-00-0", &i); n == 1 {
			nics = append(nics, i-1)
		} else {
			t.Fatalf("device %s is neither GPU nor NIC", device)
		}
	}
	lost := 0
	for _, nic := range nics {
		if !gpus[nic] {
			lost++
		}
	}
	return lost
}

// inUse lists all allocated and pending devices, as driver/device.
func (w *world) inUse() []string {
	state, err := w.handle.manager.ResourceClaims().GatherAllocatedState()
	if err != nil {
		return nil // claims changed during the count
	}
	var list []string
	for id := range state.AllocatedDevices {
		list = append(list, id.Driver.String()+"/"+id.Device.String())
	}
	slices.Sort(list)
	return list
}
