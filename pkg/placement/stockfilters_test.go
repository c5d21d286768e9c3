// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/dovetail-dev/dovetail/pkg/placement"
)

// stockPlugins are the filters of the default profile that judge, and what else a framework
// must have.
var stockPlugins = []string{
	names.PrioritySort, names.DefaultBinder, names.NodeUnschedulable, names.NodeName, names.TaintToleration,
	names.NodeAffinity, names.NodePorts, names.NodeResourcesFit, names.VolumeRestrictions, names.NodeVolumeLimits,
	names.VolumeBinding, names.VolumeZone, names.PodTopologySpread, names.InterPodAffinity,
}

// lister gives the plugins the current snapshot.
type lister struct{ fwk.SharedLister }

// stockFilters is the scheduler's own framework on the snapshot of a small cluster. Pods
// can be placed and taken away again.
type stockFilters struct {
	framework.Framework
	ctx       context.Context
	snapshot  *lister
	informers informers.SharedInformerFactory
	nodes     []*v1.Node
	// pods are all pods on nodes. cycles has the state of the cycle that placed each member.
	pods   map[types.UID]*v1.Pod
	cycles map[types.UID]fwk.CycleState
}

// newStockFilters starts the framework. The caller waits until its caches are filled.
func newStockFilters(ctx context.Context, w *world) (*stockFilters, error) {
	defaults, err := latest.Default()
	if err != nil {
		return nil, err
	}
	profile := config.KubeSchedulerProfile{SchedulerName: judgedProfile, Plugins: &config.Plugins{}, PluginConfig: defaults.Profiles[0].PluginConfig}
	for _, name := range stockPlugins {
		profile.Plugins.MultiPoint.Enabled = append(profile.Plugins.MultiPoint.Enabled, config.Plugin{Name: name, Weight: 1})
	}
	registry := plugins.NewInTreeRegistry()
	if err := registry.Merge(w.plugins); err != nil {
		return nil, err
	}
	for name := range w.plugins {
		profile.Plugins.MultiPoint.Enabled = append(profile.Plugins.MultiPoint.Enabled, config.Plugin{Name: name, Weight: 1})
	}
	client := fake.NewClientset()
	for _, object := range w.objects {
		if err := client.Tracker().Add(object); err != nil {
			return nil, err
		}
	}
	s := &stockFilters{
		ctx: ctx, snapshot: &lister{}, informers: informers.NewSharedInformerFactory(client, 0), nodes: w.nodes,
		pods: map[types.UID]*v1.Pod{}, cycles: map[types.UID]fwk.CycleState{},
	}
	for _, pod := range slices.Concat(w.running, w.members) {
		if pod.Spec.NodeName == "" {
			continue
		}
		s.pods[pod.UID] = pod
	}
	s.refresh()
	s.Framework, err = frameworkruntime.NewFramework(ctx, registry, &profile,
		frameworkruntime.WithSnapshotSharedLister(s.snapshot), frameworkruntime.WithInformerFactory(s.informers),
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(s.informers.Storage().V1().CSINodes().Lister())))
	if err != nil {
		return nil, err
	}
	if w.wrap != nil {
		s.Framework = w.wrap(s.Framework)
	}
	s.storage() // asks for its informers
	s.informers.Start(ctx.Done())
	s.informers.WaitForCacheSync(ctx.Done())
	return s, nil
}

// refresh takes a new snapshot.
func (s *stockFilters) refresh() {
	s.snapshot.SharedLister = schedulercache.NewSnapshot(slices.Collect(maps.Values(s.pods)), s.nodes)
}

// infos returns the nodes of the snapshot by name.
func (s *stockFilters) infos() []fwk.NodeInfo {
	infos, _ := s.snapshot.NodeInfos().List()
	return slices.SortedFunc(slices.Values(infos), func(a, b fwk.NodeInfo) int { return cmp.Compare(a.Node().Name, b.Node().Name) })
}

// cycle is a scheduling cycle of one pod after PreFilter.
type cycle struct {
	s      *stockFilters
	pod    *v1.Pod
	state  fwk.CycleState
	result *fwk.PreFilterResult
	status *fwk.Status
}

func (s *stockFilters) begin(pod *v1.Pod) *cycle {
	c := &cycle{s: s, pod: pod, state: framework.NewCycleState()}
	c.result, c.status, _ = s.RunPreFilterPlugins(s.ctx, c.state, pod)
	return c
}

// filter returns why the pod cannot be on a node, nil if it can.
func (c *cycle) filter(node string) *fwk.Status {
	if !c.status.IsSuccess() {
		return c.status
	}
	if !c.result.AllNodes() && !c.result.NodeNames.Has(node) {
		return fwk.NewStatus(fwk.Unschedulable, "excluded in PreFilter")
	}
	info, err := c.s.snapshot.NodeInfos().Get(node)
	if err != nil {
		return fwk.AsStatus(err)
	}
	return c.s.RunFilterPlugins(c.s.ctx, c.state, c.pod, info)
}

// reserve places the pod on a node that the filters have accepted.
func (c *cycle) reserve(node string) error {
	if status := c.s.RunReservePluginsReserve(c.s.ctx, c.state, c.pod, node); !status.IsSuccess() {
		return fmt.Errorf("reserving %s for %s: %w", node, c.pod.Name, status.AsError())
	}
	assumed := c.pod.DeepCopy()
	assumed.Spec.NodeName = node
	c.s.pods[c.pod.UID], c.s.cycles[c.pod.UID] = assumed, c.state
	c.s.refresh()
	return nil
}

// unreserve takes a member away from its node.
func (s *stockFilters) unreserve(pod *v1.Pod) {
	s.RunReservePluginsUnreserve(s.ctx, s.cycles[pod.UID], pod, s.pods[pod.UID].Spec.NodeName)
	delete(s.pods, pod.UID)
	delete(s.cycles, pod.UID)
	s.refresh()
}

// withoutSelf returns why a placed member could not be on its node beside all others, nil
// if it could.
func (s *stockFilters) withoutSelf(pod *v1.Pod) *fwk.Status {
	placed := s.pods[pod.UID]
	delete(s.pods, pod.UID)
	s.refresh()
	status := s.begin(pod).filter(placed.Spec.NodeName)
	s.pods[pod.UID] = placed
	s.refresh()
	return status
}

// storage reads the storage objects from the informers, as the plugin Gang does.
func (s *stockFilters) storage() *listers {
	l := &listers{s.informers}
	_, _ = l.ListVolumes()
	_, _ = l.ListAttachments()
	_, _ = l.Drivers("")
	_, _ = l.Class("")
	_, _ = l.Claim("", "")
	return l
}

// namespaces lists namespaces from the informers, as the plugin Gang does.
func (s *stockFilters) namespaces() placement.Namespaces {
	return s.informers.Core().V1().Namespaces().Lister()
}

type listers struct {
	informers.SharedInformerFactory
}

func (l *listers) Claim(namespace, name string) (*v1.PersistentVolumeClaim, error) {
	return l.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(namespace).Get(name)
}

func (l *listers) Volume(name string) (*v1.PersistentVolume, error) {
	return l.Core().V1().PersistentVolumes().Lister().Get(name)
}

func (l *listers) Class(name string) (*storagev1.StorageClass, error) {
	return l.Storage().V1().StorageClasses().Lister().Get(name)
}

func (l *listers) ListVolumes() ([]*v1.PersistentVolume, error) {
	return l.Core().V1().PersistentVolumes().Lister().List(labels.Everything())
}

func (l *listers) Drivers(node string) (*storagev1.CSINode, error) {
	return l.Storage().V1().CSINodes().Lister().Get(node)
}

func (l *listers) ListAttachments() ([]*storagev1.VolumeAttachment, error) {
	return l.Storage().V1().VolumeAttachments().Lister().List(labels.Everything())
}

// errSearch ends a search that has taken too many steps.
var errSearch = errors.New("the search was ended")

// search looks for a placement that the stock filters accept: for every order of the
// members and every node.
type search struct {
	s      *stockFilters
	w      *world
	failed map[string]bool
	// steps are the filter runs that are left.
	steps int
	// order has the members placed so far.
	order []step
}

// step is one member placed on a node.
type step struct {
	pod  *v1.Pod
	node string
}

func (s step) String() string { return s.pod.Name + " on " + s.node }

// find reports whether the remaining members have a placement.
func (x *search) find() (bool, error) {
	if x.w.quorate(x.s) {
		return true, nil
	}
	key := x.key()
	if x.failed[key] {
		return false, nil
	}
	x.failed[key] = true
	tried := map[string]bool{}
	for _, pod := range x.w.members {
		if kind := x.w.kindOf(pod); x.s.pods[pod.UID] == nil && !tried[kind] {
			tried[kind] = true
			if found, err := x.tryNodes(pod); found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

func (x *search) tryNodes(pod *v1.Pod) (bool, error) {
	for _, node := range x.s.nodes {
		if x.steps--; x.steps < 0 {
			return false, errSearch
		}
		if !x.w.allowedDomain(x.s, node) {
			continue
		}
		c := x.s.begin(pod)
		if !c.filter(node.Name).IsSuccess() {
			continue
		}
		if err := c.reserve(node.Name); err != nil {
			return false, err
		}
		x.order = append(x.order, step{pod, node.Name})
		if found, err := x.find(); found || err != nil {
			return found, err
		}
		x.s.unreserve(pod)
		x.order = x.order[:len(x.order)-1]
		if err := x.repeat(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// repeat places all members again if they may share a volume: the stock plugin VolumeBinding
// gives a volume back as soon as one of its users is taken away.
func (x *search) repeat() error {
	if !x.w.waitsForVolumes() {
		return nil
	}
	for _, done := range slices.Backward(x.order) {
		x.s.unreserve(done.pod)
	}
	for _, next := range x.order {
		c := x.s.begin(next.pod)
		if !c.filter(next.node).IsSuccess() {
			return errSearch // of equal volumes, it got another
		}
		if err := c.reserve(next.node); err != nil {
			return err
		}
	}
	return nil
}

// quorate reports whether enough members of each role are placed.
func (w *world) quorate(s *stockFilters) bool {
	have := map[string]int{}
	for _, pod := range w.members {
		if s.pods[pod.UID] != nil {
			have[roleOf(pod)]++
		}
	}
	return !slices.ContainsFunc(w.gang.Roles, func(r role) bool { return have[r.Name] < r.Min })
}

// key identifies what is placed where. Which volume a member gets depends on the order.
func (x *search) key() string {
	var placed []string
	for _, done := range x.order {
		placed = append(placed, done.String())
	}
	if !x.w.waitsForVolumes() {
		slices.Sort(placed)
	}
	return fmt.Sprint(placed)
}
