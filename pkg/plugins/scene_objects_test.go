// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// declared are the objects that declare gangs. It never tells of a change.
type declared struct {
	mu      sync.Mutex
	objects map[gangs.Key]any
	ended   cache.SharedIndexInformer
}

func (d *declared) Sources([]config.GangSource) gangs.Sources { return gangs.NewSources(d) }
func (d *declared) Ended() cache.SharedIndexInformer          { return d.ended }
func (d *declared) OnChange(func(gangs.Key))                  {}
func (d *declared) KeepMisses(func(gangs.Key) bool)           {}
func (d *declared) Start(context.Context) error               { return nil }
func (d *declared) HasSynced() bool                           { return true }

// find returns the object with that key. A key that maps to an error has that.
func find[T any](d *declared, key gangs.Key) (*T, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch found := d.objects[key].(type) {
	case *T:
		return found, nil
	case error:
		return nil, found
	}
	return nil, &gangs.LookupError{Key: key, Reason: gangs.ErrNotFound}
}

func (d *declared) RayCluster(namespace, name string) (*rayv1.RayCluster, error) {
	return find[rayv1.RayCluster](d, gangs.RayClusterKey(namespace, name))
}

func (d *declared) RayJob(_ gangs.Key, namespace, name string) (*rayv1.RayJob, error) {
	return find[rayv1.RayJob](d, gangs.RayJobKey(namespace, name))
}

func (d *declared) CoschedulingGroup(namespace, name string) (*schedv1alpha1.PodGroup, error) {
	return find[schedv1alpha1.PodGroup](d, gangs.CoschedulingKey(namespace, name))
}

func (d *declared) PodGroup(namespace, name string) (*schedulingv1beta1.PodGroup, error) {
	return find[schedulingv1beta1.PodGroup](d, gangs.PodGroupKey(namespace, name))
}

func (d *declared) VolcanoPodGroup(namespace, name string) (*gangs.VolcanoPodGroup, error) {
	return find[gangs.VolcanoPodGroup](d, gangs.VolcanoKey(namespace, name))
}

func (d *declared) LeaderWorkerSet(_ gangs.Key, namespace, name string) (*gangs.LeaderWorkerSet, error) {
	return find[gangs.LeaderWorkerSet](d, gangs.LeaderWorkerSetKey(namespace, name))
}

func (d *declared) JobSet(namespace, name string) (*gangs.JobSet, error) {
	return find[gangs.JobSet](d, gangs.JobSetKey(namespace, name))
}

func (d *declared) Job(namespace, name string) (*batchv1.Job, error) {
	return find[batchv1.Job](d, gangs.JobKey(namespace, name))
}

// recorder keeps the last note about each object that is not a pod.
type recorder struct {
	mu    sync.Mutex
	notes map[string]string
}

var _ events.EventRecorderLogger = (*recorder)(nil)

// Eventf keeps the note.
//
//revive:disable-next-line:argument-limit as the interface has it
func (r *recorder) Eventf(regarding, _ runtime.Object, _, _, _, note string, args ...any) {
	ref, ok := regarding.(*v1.ObjectReference)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notes == nil {
		r.notes = map[string]string{}
	}
	r.notes[ref.Name] = fmt.Sprintf(note, args...)
}

// WithLogger returns r: it logs nothing.
func (r *recorder) WithLogger(klog.Logger) events.EventRecorderLogger { return r }

func (r *recorder) last(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes[name]
}

// birth is when the first object of every scene was made.
var birth = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// change is one way in which a pod differs from the plain one.
type change func(*v1.Pod)

// pod adds a pod of one CPU. Of two, the one that was added first is the older.
func (s *scene) pod(name string, changes ...change) {
	p := s.newPod(name, changes...)
	s.start = append(s.start, p)
}

func (s *scene) newPod(name string, changes ...change) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name), Generation: 1,
			CreationTimestamp: metav1.NewTime(birth.Add(time.Duration(len(s.start)) * time.Second)),
			Labels:            map[string]string{}, Annotations: map[string]string{},
		},
		Spec:   v1.PodSpec{SchedulerName: profile, Containers: []v1.Container{{Name: "main", Image: "work"}}},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	cpu("1")(p)
	for _, change := range changes {
		change(p)
	}
	return p
}

// pods adds n pods, named name-0, name-1 and so on.
func (s *scene) pods(name string, n int, changes ...change) {
	for i := range n {
		s.pod(fmt.Sprintf("%s-%d", name, i), changes...)
	}
}

func cpu(amount string) change {
	return func(p *v1.Pod) {
		p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(amount)}
	}
}

func label(key, value string) change      { return func(p *v1.Pod) { p.Labels[key] = value } }
func annotation(key, value string) change { return func(p *v1.Pod) { p.Annotations[key] = value } }
func inGroup(name string) change          { return label(gangs.CoschedulingLabel, name) }
func by(scheduler string) change          { return func(p *v1.Pod) { p.Spec.SchedulerName = scheduler } }
func priority(n int32) change             { return func(p *v1.Pod) { p.Spec.Priority = &n } }

func runsOn(node string) change {
	return func(p *v1.Pod) { p.Spec.NodeName, p.Status.Phase = node, v1.PodRunning }
}

// startedBefore has the pod be running for so long.
func startedBefore(d time.Duration) change {
	return func(p *v1.Pod) { p.Status.StartTime = &metav1.Time{Time: time.Now().Add(-d)} }
}

func gated(gate string) change {
	return func(p *v1.Pod) { p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: gate}} }
}

func controlledBy(apiVersion, kind, name string) change {
	return func(p *v1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, UID: types.UID("uid-of-" + name), Controller: new(true)}}
	}
}

// ray makes the pod one of RayCluster train, in that group.
func ray(group string) change {
	return func(p *v1.Pod) {
		controlledBy("ray.io/v1", "RayCluster", "train")(p)
		p.Labels["ray.io/cluster"], p.Labels["ray.io/group"], p.Labels["ray.io/node-type"] = "train", group, "worker"
		if group == "headgroup" {
			p.Labels["ray.io/node-type"] = "head"
		}
	}
}

// claiming has the pod name a claim.
func claiming(claim string) change {
	return func(p *v1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, v1.PodResourceClaim{Name: claim, ResourceClaimName: &claim})
	}
}

// fromTemplate has the pod wait for a claim that is not made yet.
func fromTemplate(template string) change {
	return func(p *v1.Pod) {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, v1.PodResourceClaim{Name: "devices", ResourceClaimTemplateName: &template})
	}
}

// template adds a template of claims.
func (s *scene) template(name string) {
	s.start = append(s.start, &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
}

// claim adds a claim for so many devices of each class.
func (s *scene) claim(name string, counts ...any) *resourceapi.ResourceClaim {
	claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name)}}
	for i := 0; i < len(counts); i += 2 {
		claim.Spec.Devices.Requests = append(claim.Spec.Devices.Requests, resourceapi.DeviceRequest{
			Name: fmt.Sprintf("devices-%d", i/2),
			Exactly: &resourceapi.ExactDeviceRequest{
				DeviceClassName: counts[i].(string), AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: int64(counts[i+1].(int)),
			},
		})
	}
	s.start = append(s.start, claim)
	return claim
}

// claimed adds n pods with a claim each.
func (s *scene) claimed(name string, n int, counts []any, changes ...change) {
	for i := range n {
		podName := fmt.Sprintf("%s-%d", name, i)
		s.claim(podName, counts...)
		s.pod(podName, append([]change{claiming(podName)}, changes...)...)
	}
}

// taken adds a claim that holds devices of a node.
func (s *scene) taken(name, node, driver, class string, devices ...string) {
	claim := s.claim(name, class, len(devices))
	claim.Status.Allocation = &resourceapi.AllocationResult{}
	for _, device := range devices {
		claim.Status.Allocation.Devices.Results = append(claim.Status.Allocation.Devices.Results,
			resourceapi.DeviceRequestAllocationResult{Request: "devices-0", Driver: driver, Pool: node, Device: device})
	}
}

// group declares PodGroup NAME.
func (s *scene) group(name string, least int32, annotations ...string) {
	s.declared.mu.Lock()
	defer s.declared.mu.Unlock()
	group := &schedv1alpha1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name), Annotations: map[string]string{}},
		Spec:       schedv1alpha1.PodGroupSpec{MinMember: least},
	}
	for i := 0; i < len(annotations); i += 2 {
		group.Annotations[annotations[i]] = annotations[i+1]
	}
	s.declared.objects[gangs.CoschedulingKey(namespace, name)] = group
}

// rayCluster declares RayCluster train with these worker groups.
func (s *scene) rayCluster(groups ...rayv1.WorkerGroupSpec) *rayv1.RayCluster {
	cluster := &rayv1.RayCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "train", UID: "uid-of-train", Annotations: map[string]string{}},
		Spec:       rayv1.RayClusterSpec{WorkerGroupSpecs: groups},
	}
	s.declared.objects[gangs.RayClusterKey(namespace, "train")] = cluster
	return cluster
}

func workers(name string, replicas, hosts int32) rayv1.WorkerGroupSpec {
	return rayv1.WorkerGroupSpec{GroupName: name, Replicas: &replicas, MinReplicas: &replicas, MaxReplicas: new(int32(100)), NumOfHosts: hosts}
}

// node gives the i-th of the nodes that were added, to be changed.
func (s *scene) node(i int) *v1.Node {
	for _, object := range s.start {
		if node, ok := object.(*v1.Node); ok {
			if i == 0 {
				return node
			}
			i--
		}
	}
	s.Fatal("there is no such node")
	return nil
}
