// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Name is the plugin's name in a profile.
const Name = "Gang"

// verdictLife is how long the answer "no" serves the members that come up
// right after the one that asked. Events that can turn it end it earlier.
const verdictLife = 5 * time.Second

// Shared is what the Gang plugins of all profiles of a process use together.
type Shared interface {
	// Sources returns the gang sources with these names, reading objects that
	// are watched once for the process.
	Sources(names []config.GangSource) gangs.Sources
	// Ended is the informer of pods that succeeded or failed, which the
	// scheduler's own informer does not show.
	Ended() cache.SharedIndexInformer
	// OnChange registers what to do when a declaration changed.
	OnChange(func(gangs.Key))
	// Start begins to watch; it does nothing the second time.
	Start(ctx context.Context) error
	// HasSynced says that every declaration that exists is known.
	HasSynced() bool
}

// Gang places gangs.
type Gang struct {
	handle  fwk.Handle
	args    *config.GangArgs
	sources gangs.Sources
	book    *book
	desk    *cluster.Profile
	report  *reporter
	// refusals are what filters refused of plans for PodGroups of scheduling.k8s.io.
	refusals refusals
	// ended are the pods that have ended.
	ended cache.SharedIndexInformer
	// native says that the scheduler has a cycle of its own for those, hierarchies that
	// it has one for CompositePodGroups.
	native, hierarchies bool
	// quorum counts the members of those, nil without native. outside are those that it
	// keeps out of the queue, if gated: a plugin Gate does so and not this one.
	quorum  quorum
	gated   bool
	outside outside
	// binder binds the members, and bindings is who may.
	binder   fwk.BindPlugin
	bindings *semaphore.Weighted
	nodes    corelisters.NodeLister
	settled  func() bool
	once     sync.Once
	logger   klog.Logger
}

var (
	_ fwk.PreEnqueuePlugin  = (*Gang)(nil)
	_ fwk.QueueSortPlugin   = (*Gang)(nil)
	_ fwk.PreFilterPlugin   = (*Gang)(nil)
	_ fwk.FilterPlugin      = (*Gang)(nil)
	_ fwk.PostFilterPlugin  = (*Gang)(nil)
	_ fwk.ReservePlugin     = (*Gang)(nil)
	_ fwk.PermitPlugin      = (*Gang)(nil)
	_ fwk.BindPlugin        = (*Gang)(nil)
	_ fwk.EnqueueExtensions = (*Gang)(nil)
	_ fwk.SignPlugin        = (*Gang)(nil)
)

// Parts are what Gang has in common with other plugins.
type Parts struct {
	// Shared is one for all profiles.
	Shared Shared
	// Desk has the profile's picture of the cluster.
	Desk *cluster.Profile
	// Gates are where Gate is found, if the profile has it.
	Gates *Gates
}

// New makes the plugin for one profile. The watch on declaring objects belongs
// to the process and not to a scheduler's informer factory, so it starts here.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle, parts Parts) (fwk.Plugin, error) {
	args, err := config.DecodeGangArgs(obj)
	if err != nil {
		return nil, err
	}
	sources := parts.Shared.Sources(args.Sources)
	informer := handle.SharedInformerFactory().Core().V1().Pods().Informer()
	g := &Gang{
		handle:  handle,
		args:    args,
		sources: sources,
		book:    newBook(handle.ProfileName(), sources, existsIn(informer.GetStore())),
		desk:    parts.Desk,
		ended:   parts.Shared.Ended(),
		nodes:   handle.SharedInformerFactory().Core().V1().Nodes().Lister(),
		logger:  klog.FromContext(ctx).WithName(Name),
		native:  utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload),

		hierarchies: utilfeature.DefaultFeatureGate.Enabled(features.CompositePodGroup),
	}
	g.report = newReporter(handle, g.book, args.ReportDelay)
	if g.native {
		g.report.inGroup = g.standsInGroup
		if g.quorum, err = newQuorum(ctx, handle); err != nil {
			return nil, err
		}
		g.outside = outside{complete: g.complete, enter: g.activate, waiter: g.waiterIn, looks: looks}
	}
	if g.binder, err = newBinder(ctx, handle); err != nil {
		return nil, err
	}
	parts.Gates.enter(handle.ProfileName(), gateway{gang: g})
	if err := g.follow(ctx, informer, parts.Shared); err != nil {
		return nil, err
	}
	go g.report.run(ctx)
	go g.watchTheClock(ctx)
	return g, nil
}

// follow has the informers and the watch on declarations tell the book.
func (g *Gang) follow(ctx context.Context, informer cache.SharedIndexInformer, shared Shared) error {
	handlers, err := informer.AddEventHandler(g.podEvents())
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	ended, err := g.ended.AddEventHandler(g.endedEvents())
	if err != nil {
		return fmt.Errorf("watching pods that have ended: %w", err)
	}
	g.settled = func() bool { return handlers.HasSynced() && ended.HasSynced() && shared.HasSynced() }
	shared.OnChange(g.declarationChanged)
	if err := shared.Start(ctx); err != nil {
		return fmt.Errorf("watching objects that declare gangs: %w", err)
	}
	return nil
}

// existsIn asks the informer's store whether it has this very pod.
func existsIn(store cache.Store) func(*v1.Pod) bool {
	return func(pod *v1.Pod) bool {
		obj, ok, err := store.GetByKey(pod.Namespace + "/" + pod.Name)
		if err != nil || !ok {
			return false
		}
		stored, ok := obj.(*v1.Pod)
		return ok && stored.UID == pod.UID
	}
}

// Name returns the plugin's name.
func (g *Gang) Name() string { return Name }

// PreEnqueue keeps a pod out of the queue until its gang's quorum exists, where no
// plugin Gate does.
func (g *Gang) PreEnqueue(_ context.Context, pod *v1.Pod) *fwk.Status {
	if g.gated {
		return nil
	}
	return g.letIn(pod)
}

// Less puts members of one gang next to each other: by priority, then by the
// time of the gang's first pod, then by gang, then by name. A pod without a gang
// stands where stock puts it, by its own time in the queue.
func (g *Gang) Less(a, b fwk.QueuedEntityInfo) bool {
	if pa, pb := a.GetPriority(), b.GetPriority(); pa != pb {
		return pa > pb
	}
	ka, kb := g.place(a), g.place(b)
	if !ka.at.Equal(kb.at) {
		return ka.at.Before(kb.at)
	}
	if ka.gang != kb.gang {
		return compareKeys(ka.gang, kb.gang) < 0
	}
	return ka.name < kb.name
}

// queuePlace is where an entity stands among those of its priority.
type queuePlace struct {
	at   time.Time
	gang gangs.Key
	name string
}

func (g *Gang) place(e fwk.QueuedEntityInfo) queuePlace {
	if group, ok := e.(*framework.QueuedPodGroupInfo); ok {
		return placeOfGroup(group)
	}
	one, ok := e.(interface{ GetPod() *v1.Pod })
	if !ok {
		return queuePlace{at: e.GetTimestamp()}
	}
	pod := one.GetPod()
	key, ok := g.sources.Key(pod)
	if !ok {
		return queuePlace{at: e.GetTimestamp()}
	}
	at, ok := g.book.orderOf(key)
	if !ok {
		at = e.GetTimestamp()
	}
	return queuePlace{at: at, gang: key, name: pod.Name}
}

// placeOfGroup has PodGroups of scheduling.k8s.io stand by their age, so that after a
// restart one that is bound in part comes before those that were made after it.
func placeOfGroup(group *framework.QueuedPodGroupInfo) queuePlace {
	p := queuePlace{at: group.GetTimestamp(), name: group.Namespace + "/" + group.Name}
	switch {
	case group.PodGroup != nil:
		p.at = group.PodGroup.CreationTimestamp.Time
	case group.CompositePodGroup != nil:
		p.at = group.CompositePodGroup.CreationTimestamp.Time
	}
	return p
}

// destination is where the plan sends the pod of this cycle.
type destination struct {
	key  gangs.Key
	node string
}

const destinationKey fwk.StateKey = Name + "/destination"

// Clone returns d: it never changes.
func (d *destination) Clone() fwk.StateData { return d }

// PreFilter returns the pod's planned node, after planning its gang if no plan
// is in force. A pod with claims and without a gang is a gang of one.
func (g *Gang) PreFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if isTrial(state) {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	if state.IsPodGroupSchedulingCycle() {
		return g.preFilterInGroup(ctx, state, pod, nodes)
	}
	key, ok := g.sources.Key(pod)
	if !ok {
		return g.alone(ctx, state, pod, nodes)
	}
	node, refusal, err := g.assign(ctx, key, pod, nodes)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	state.Write(destinationKey, &destination{key: key, node: node})
	if refusal != "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, refusal)
	}
	cluster.SetPlanned(state, g.book.instructions(key, pod.UID, node))
	g.yieldNominations(key, pod.UID, node)
	return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
}

// PreFilterExtensions returns nil: a plan does not depend on pods that
// preemption would remove.
func (g *Gang) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter holds the pod to its planned node. The scheduler tries a node that was
// nominated earlier before it looks at what PreFilter returned.
func (g *Gang) Filter(_ context.Context, state fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if node := pinned(state); node == "" || node == info.Node().Name {
		return nil
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "not the planned node")
}

// PostFilter ends the attempt when a filter refused a planned node. It keeps
// preemption from making room for a single member.
func (g *Gang) PostFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	d := destinationOf(state)
	if d == nil {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	if d.node != "" {
		g.refused(d, pod, statuses.Get(d.node))
	}
	return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable)
}

// Reserve counts the member in.
func (g *Gang) Reserve(_ context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if d := destinationOf(state); d != nil {
		g.book.reserve(d.key, pod.UID, node)
	}
	seatedIn(state, pod)
	return nil
}

// Unreserve gives back the whole gang when a member gives back before the
// quorum is there.
func (g *Gang) Unreserve(_ context.Context, state fwk.CycleState, pod *v1.Pod, node string) {
	d := destinationOf(state)
	if d == nil {
		return
	}
	ended, again := g.book.unreserve(d.key, pod.UID)
	if ended != nil {
		g.giveUp(ended, fmt.Sprintf("member %s lost its place on node %s", pod.Name, node))
	}
	if again {
		g.activate([]*v1.Pod{pod}) // whatever rejected it need not know how to wake it
	}
}

// Permit makes a member wait for the quorum. The member that completes it opens
// the gate for all.
func (g *Gang) Permit(ctx context.Context, state fwk.CycleState, pod *v1.Pod, node string) (*fwk.Status, time.Duration) {
	unannounced(state, pod, node)
	d := destinationOf(state)
	if g.quorum != nil && gangs.InPodGroup(pod) {
		g.boundInGroup(state)
		return g.quorum.Permit(ctx, state, pod, node)
	}
	if d == nil {
		return nil, 0
	}
	what, att := g.book.arrive(d.key, pod.UID)
	switch what {
	case pass:
		return nil, 0
	case hold:
		return fwk.NewStatus(fwk.Wait), g.args.PermitTimeout
	case last:
		if gone := g.missingNode(att); gone != "" {
			return fwk.NewStatus(fwk.Unschedulable, d.key.Messagef("planned node %s is gone", gone)), 0 // Unreserve ends the attempt
		}
		if g.open(att) {
			return nil, 0
		}
	}
	return fwk.NewStatus(fwk.Unschedulable, d.key.Messagef("the plan was dropped while this member was placed")), 0
}

// SignPod keeps members out of batches of equal pods: their plan decides.
func (g *Gang) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if key, ok := g.sources.Key(pod); ok {
		return nil, fwk.NewStatus(fwk.Unschedulable, "member of "+key.String())
	}
	return nil, nil
}

func destinationOf(state fwk.CycleState) *destination {
	data, err := state.Read(destinationKey)
	if err != nil {
		return nil
	}
	d, _ := data.(*destination)
	return d
}

// yieldNominations drops nominations that members of the same gang hold on a
// node that the plan gives to another of them: a scheduler that was killed
// between Permit and the binding leaves them behind, and the filters would
// count them as pods.
func (g *Gang) yieldNominations(key gangs.Key, uid types.UID, node string) {
	for _, info := range g.handle.NominatedPodsForNode(node) {
		other := info.GetPod()
		if other.UID == uid {
			continue
		}
		if k, ok := g.sources.Key(other); ok && k == key || gangs.InPodGroup(other) && gangs.PodGroupKeyOf(other) == key {
			g.handle.DeleteNominatedPodIfExists(other)
		}
	}
}
