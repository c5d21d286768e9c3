// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	schedv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	// fieldManager is the field manager of all writes. A status written by another field
	// manager is not overwritten.
	fieldManager = "dovetail"
	// quiet is how long a changed PodGroup waits in the queue before its status is written:
	// the pods of a group start within moments of each other, and one write is enough.
	quiet = time.Second
	// groupIndex is an informer index. It finds pods by the PodGroup that they name.
	groupIndex = "dovetail/podgroup"
)

var podGroups = schedv1alpha1.SchemeGroupVersion.WithResource("podgroups")

// CoschedulingGroups writes the status of scheduler-plugins PodGroups as the controller of
// the project scheduler-plugins does, so that its controller need not run.
//
// It writes groups that have pods of Dovetail's schedulers, and only while no other
// controller writes their status. It skips a group whose status has another field manager.
// It uses server-side apply without force, so that two controllers that start at the same
// moment do not overwrite each other.
type CoschedulingGroups struct {
	client dynamic.Interface
	// lookup reports from memory whether a group exists.
	lookup      gangs.CoschedulingGroups
	pods, ended cache.Indexer
	queue       workqueue.TypedRateLimitingInterface[types.NamespacedName]
	// runs is set once Run was called. Before Run, changes are not queued, because no
	// goroutine reads the queue: another replica of the scheduler may write the status.
	runs atomic.Bool

	mu       sync.Mutex
	profiles sets.Set[string]
}

// NewCoschedulingGroups returns the reconciler. pods is the informer of existing pods,
// ended that of pods that have ended. It returns an error if an informer refuses an index
// or an event handler.
func NewCoschedulingGroups(client dynamic.Interface, lookup gangs.CoschedulingGroups, pods, ended cache.SharedIndexInformer) (*CoschedulingGroups, error) {
	r := &CoschedulingGroups{
		client: client, lookup: lookup, profiles: sets.New[string](),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]()),
	}
	for _, informer := range []cache.SharedIndexInformer{pods, ended} {
		if err := informer.AddIndexers(cache.Indexers{groupIndex: groupOf}); err != nil {
			return nil, fmt.Errorf("finding pods by PodGroup: %w", err)
		}
		if _, err := informer.AddEventHandler(r.podEvents()); err != nil {
			return nil, fmt.Errorf("watching pods: %w", err)
		}
	}
	r.pods, r.ended = pods.GetIndexer(), ended.GetIndexer()
	return r, nil
}

// Serve adds a scheduler name. The status of a PodGroup with pods of that
// spec.schedulerName is then written.
func (r *CoschedulingGroups) Serve(profile string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.profiles.Insert(profile)
}

func groupOf(obj any) ([]string, error) {
	pod, ok := obj.(*v1.Pod)
	if !ok || pod.Labels[gangs.CoschedulingLabel] == "" {
		return nil, nil
	}
	return []string{pod.Namespace + "/" + pod.Labels[gangs.CoschedulingLabel]}, nil
}

func (r *CoschedulingGroups) podEvents() cache.ResourceEventHandler {
	changed := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if pod, ok := obj.(*v1.Pod); ok && pod.Labels[gangs.CoschedulingLabel] != "" {
			r.Changed(gangs.CoschedulingKey(pod.Namespace, pod.Labels[gangs.CoschedulingLabel]))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: changed,
		UpdateFunc: func(before, after any) {
			was, _ := before.(*v1.Pod)
			is, _ := after.(*v1.Pod)
			if was == nil || is == nil || was.Status.Phase != is.Status.Phase || was.Labels[gangs.CoschedulingLabel] != is.Labels[gangs.CoschedulingLabel] {
				changed(before)
				changed(after)
			}
		},
		DeleteFunc: changed,
	}
}

// Changed queues the group of that key for a check of its status after a short delay. It
// ignores keys of gangs that no scheduler-plugins PodGroup declares, and all keys before
// Run.
func (r *CoschedulingGroups) Changed(key gangs.Key) {
	if key.Source == gangs.CoschedulingSource && r.runs.Load() {
		r.queue.AddAfter(types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, quiet)
	}
}

// Run reconciles all existing groups, and then those that change, until ctx is done.
func (r *CoschedulingGroups) Run(ctx context.Context) {
	r.runs.Store(true)
	r.queueAll(ctx)
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for {
		name, stop := r.queue.Get()
		if stop {
			return
		}
		if err := r.reconcile(ctx, name); err != nil {
			klog.FromContext(ctx).Error(err, "Could not write the status of a PodGroup", "podGroup", name)
			r.queue.AddRateLimited(name)
		} else {
			r.queue.Forget(name)
		}
		r.queue.Done(name)
	}
}

// queueAll queues all PodGroups that exist.
func (r *CoschedulingGroups) queueAll(ctx context.Context) {
	list, err := r.client.Resource(podGroups).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		return // the kind is not installed
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Could not list PodGroups; the status of each is checked when it changes")
		return
	}
	for i := range list.Items {
		r.Changed(gangs.CoschedulingKey(list.Items[i].GetNamespace(), list.Items[i].GetName()))
	}
}

// reconcile writes the status of one group, if Dovetail may write it and the status
// differs.
func (r *CoschedulingGroups) reconcile(ctx context.Context, name types.NamespacedName) error {
	var lookup *gangs.LookupError
	if _, err := r.lookup.CoschedulingGroup(name.Namespace, name.Name); errors.As(err, &lookup) {
		return nil // the group does not exist, or has not been read yet
	}
	object, err := r.client.Resource(podGroups).Namespace(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading PodGroup %s: %w", name, err)
	}
	pods, err := r.members(name)
	if err != nil {
		return err
	}
	if object.GetDeletionTimestamp() != nil || !r.mine(object, pods) {
		return nil
	}
	group := &schedv1alpha1.PodGroup{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, group); err != nil {
		return nil // the scheduler reports the malformed object as the problem of its gang
	}
	status := nextStatus(group, pods)
	if status == shownStatus(group) {
		return nil
	}
	return r.apply(ctx, object, status)
}

// apply writes the status. If another field manager has claimed a field since the group was
// read, apply writes nothing and returns nil.
func (r *CoschedulingGroups) apply(ctx context.Context, group *unstructured.Unstructured, status groupStatus) error {
	change := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group.GetAPIVersion(), "kind": group.GetKind(),
		"metadata": map[string]any{"namespace": group.GetNamespace(), "name": group.GetName(), "uid": string(group.GetUID())},
		"status":   status.fields(),
	}}
	_, err := r.client.Resource(podGroups).Namespace(group.GetNamespace()).
		Apply(ctx, group.GetName(), change, metav1.ApplyOptions{FieldManager: fieldManager}, "status")
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("writing the status of PodGroup %s/%s: %w", group.GetNamespace(), group.GetName(), err)
}

// mine reports whether Dovetail may write the group's status: pods of its schedulers name
// the group, or this controller wrote the status earlier, and no other controller writes
// it.
func (r *CoschedulingGroups) mine(group *unstructured.Unstructured, pods []*v1.Pod) bool {
	mine := false
	for _, entry := range group.GetManagedFields() {
		if entry.Subresource != "status" || entry.FieldsV1 == nil || !strings.Contains(entry.FieldsV1.GetRawString(), `"f:phase"`) {
			continue
		}
		if entry.Manager != fieldManager {
			return false
		}
		mine = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return mine || slices.ContainsFunc(pods, func(pod *v1.Pod) bool { return r.profiles.Has(pod.Spec.SchedulerName) })
}

// members returns the pods that name the group, each once. A pod that has just ended may be
// in both informers; it counts as ended.
func (r *CoschedulingGroups) members(name types.NamespacedName) ([]*v1.Pod, error) {
	byUID := map[types.UID]*v1.Pod{}
	for _, indexer := range []cache.Indexer{r.pods, r.ended} {
		found, err := indexer.ByIndex(groupIndex, name.String())
		if err != nil {
			return nil, fmt.Errorf("finding the pods of PodGroup %s: %w", name, err)
		}
		for _, obj := range found {
			if pod, ok := obj.(*v1.Pod); ok {
				byUID[pod.UID] = pod
			}
		}
	}
	pods := make([]*v1.Pod, 0, len(byUID))
	for _, pod := range byUID {
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b *v1.Pod) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID)) })
	return pods, nil
}

// groupStatus holds the fields of a group's status that this controller writes.
type groupStatus struct {
	phase                      schedv1alpha1.PodGroupPhase
	occupiedBy                 string
	running, succeeded, failed int32
}

func shownStatus(group *schedv1alpha1.PodGroup) groupStatus {
	s := group.Status
	return groupStatus{phase: s.Phase, occupiedBy: s.OccupiedBy, running: s.Running, succeeded: s.Succeeded, failed: s.Failed}
}

func (s groupStatus) fields() map[string]any {
	fields := map[string]any{
		"phase": string(s.phase), "running": int64(s.running), "succeeded": int64(s.succeeded), "failed": int64(s.failed),
	}
	if s.occupiedBy != "" {
		fields["occupiedBy"] = s.occupiedBy
	}
	return fields
}

// nextStatus returns the correct status of a group. The phases are those of
// scheduler-plugins' controller, with one difference. There a group is Failed for ever once
// a pod has failed. Here it is Failed only while the failed pod exists, because a group whose
// failed pod was replaced has not failed. A Finished group stays Finished when its pods are
// deleted.
func nextStatus(group *schedv1alpha1.PodGroup, pods []*v1.Pod) groupStatus {
	s := shownStatus(group)
	if s.phase == schedv1alpha1.PodGroupFinished {
		return s
	}
	s.running, s.succeeded, s.failed = countPhases(pods)
	least := group.Spec.MinMember
	switch {
	case int64(len(pods)) < int64(least):
		s.phase = schedv1alpha1.PodGroupPending
		return s
	case s.succeeded >= least:
		s.phase = schedv1alpha1.PodGroupFinished
	case s.failed > 0 && s.failed+s.running+s.succeeded >= least:
		s.phase = schedv1alpha1.PodGroupFailed
	case s.running+s.succeeded >= least:
		s.phase = schedv1alpha1.PodGroupRunning
	default:
		s.phase = schedv1alpha1.PodGroupScheduling
	}
	s.occupiedBy = cmp.Or(s.occupiedBy, ownersOf(pods))
	return s
}

func countPhases(pods []*v1.Pod) (running, succeeded, failed int32) {
	for _, pod := range pods {
		switch pod.Status.Phase {
		case v1.PodRunning:
			running++
		case v1.PodSucceeded:
			succeeded++
		case v1.PodFailed:
			failed++
		}
	}
	return running, succeeded, failed
}

// ownersOf returns the owners of the first pod, as scheduler-plugins does: sorted
// namespace/name strings, separated by commas.
func ownersOf(pods []*v1.Pod) string {
	if len(pods) == 0 {
		return ""
	}
	var owners []string
	for _, ref := range pods[0].OwnerReferences {
		owners = append(owners, pods[0].Namespace+"/"+ref.Name)
	}
	slices.Sort(owners)
	return strings.Join(owners, ",")
}
