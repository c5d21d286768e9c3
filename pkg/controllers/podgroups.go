// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulingclient "k8s.io/client-go/kubernetes/typed/scheduling/v1beta1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Reasons of the events that PodGroups records on owners.
const (
	reasonGroupMade    = "PodGroupCreated"
	reasonGroupProblem = "PodGroupProblem"
)

type keyQueue = workqueue.TypedRateLimitingInterface[gangs.Key]

// PodGroups creates a PodGroup of scheduling.k8s.io for each RayCluster and JobSet whose
// pods request one (gangs.MakePodGroupLabel), and keeps it up to date. minCount of the
// PodGroup is the number of pods that must start together, which pkg/gangs finds in the
// owner (the RayCluster or JobSet). The PodGroup has the owner's topology and device
// alignment annotations.
//
// The owner controls its group, and the group is deleted with it. A PodGroup of the same
// name with another owner is left alone. Nothing is changed while the owner is suspended or
// being deleted. If an owner no longer requests a group, its group stays as it is, because
// pods still name it.
type PodGroups struct {
	client   schedulingclient.PodGroupsGetter
	objects  gangs.Objects
	sources  gangs.Sources
	recorder events.EventRecorder

	mu sync.Mutex
	// known are the RayClusters and JobSets that exist and may request a group. They are kept
	// between two calls of Run, so that the next one checks all of them.
	known map[gangs.Key]struct{}
	// owners has the RayCluster or JobSet of each group that was looked up.
	owners map[types.NamespacedName]gangs.Key
	queue  keyQueue // nil while Run is not active

	// said is, for each RayCluster or JobSet, the last problem that an event reported. Only
	// the goroutine of Run uses it.
	said map[gangs.Key]string
}

// NewPodGroups returns the reconciler. Callers must call Changed with the key of every gang
// whose declaration changes, also while Run is not active.
func NewPodGroups(client schedulingclient.PodGroupsGetter, objects gangs.Objects, recorder events.EventRecorder) *PodGroups {
	return &PodGroups{
		client: client, objects: objects, sources: gangs.NewSources(objects), recorder: recorder,
		known: map[gangs.Key]struct{}{}, owners: map[types.NamespacedName]gangs.Key{}, said: map[gangs.Key]string{},
	}
}

// Changed queues the RayCluster or JobSet with that key, or the owner of the PodGroup with
// that key. It ignores other keys.
func (r *PodGroups) Changed(key gangs.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch key.Source {
	case gangs.RayClusterSource, gangs.JobSetSource:
		r.known[key] = struct{}{}
		if r.queue == nil && r.isGone(key) {
			delete(r.known, key)
			r.disown(key)
		}
	case gangs.PodGroupSource:
		owner, ok := r.owners[types.NamespacedName{Namespace: key.Namespace, Name: key.Name}]
		if !ok {
			return
		}
		key = owner
	default:
		return
	}
	if r.queue != nil {
		r.queue.Add(key)
	}
}

// isGone reports whether the object with that key was deleted.
func (r *PodGroups) isGone(key gangs.Key) bool {
	_, err := r.wish(key)
	return errors.Is(err, gangs.ErrNotFound) || errors.Is(err, gangs.ErrNotInstalled)
}

// Owns reports whether the key is that of a PodGroup of an existing owner.
func (r *PodGroups) Owns(key gangs.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.owners[types.NamespacedName{Namespace: key.Namespace, Name: key.Name}]
	return ok && key.Source == gangs.PodGroupSource
}

// Known returns the number of objects that may request a group.
func (r *PodGroups) Known() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known)
}

// Run reconciles queued objects until ctx is done. It may be called again after that.
func (r *PodGroups) Run(ctx context.Context) {
	queue := r.open()
	go func() {
		<-ctx.Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.queue = nil
		queue.ShutDown()
	}()
	for {
		key, stop := queue.Get()
		if stop {
			return
		}
		if err := r.reconcile(ctx, key); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Could not keep a PodGroup true", "owner", key)
			queue.AddRateLimited(key)
		} else {
			queue.Forget(key)
		}
		queue.Done(key)
	}
}

// open makes the queue of one call of Run and adds all known objects to it. It forgets
// what was reported about other objects.
func (r *PodGroups) open() keyQueue {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[gangs.Key]())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = queue
	for key := range r.known {
		queue.Add(key)
	}
	maps.DeleteFunc(r.said, func(key gangs.Key, _ string) bool {
		_, ok := r.known[key]
		return !ok
	})
	return queue
}

// reconcile creates or corrects the group of one owner, if the owner requests one.
func (r *PodGroups) reconcile(ctx context.Context, key gangs.Key) error {
	wish, err := r.wish(key)
	if errors.Is(err, gangs.ErrNotFound) || errors.Is(err, gangs.ErrNotInstalled) {
		r.forget(key)
		return nil
	}
	if err != nil || !wish.Asked {
		delete(r.said, key)
		return nil // Changed is called once the object is read; its gang reports a malformed object
	}
	gang, err := r.sources.Gang(key, nil)
	if err != nil {
		return nil // the object was deleted just now; Changed is called for the deletion
	}
	name := types.NamespacedName{Namespace: key.Namespace, Name: gangs.PodGroupName(key.Name, gang.UID)}
	r.own(name, key)
	group, err := r.objects.PodGroup(name.Namespace, name.Name)
	switch {
	case errors.Is(err, gangs.ErrNotInstalled):
		r.complain(key, gang, fmt.Sprintf("PodGroup %s cannot be made: the API server does not serve %s", name.Name, schedulingv1beta1.SchemeGroupVersion))
		return nil
	case err != nil && !errors.Is(err, gangs.ErrNotFound):
		return nil // the group's existence is unknown; Changed is called when it is known
	case wish.Resting:
		delete(r.said, key)
		return nil
	case cmp.Or(wish.Problem, gang.Problem) != "":
		r.complain(key, gang, "PodGroup "+name.Name+" is not kept: "+cmp.Or(wish.Problem, gang.Problem))
		return nil
	case gang.Min < 1:
		return nil // the API allows no empty group, and no pods need it
	case err != nil:
		return r.create(ctx, key, gang, wish)
	default:
		return r.correct(ctx, key, gang, wish, group)
	}
}

// wish returns the request for a PodGroup of the RayCluster or JobSet with that key.
func (r *PodGroups) wish(key gangs.Key) (gangs.PodGroupWish, error) {
	if key.Source == gangs.JobSetSource {
		set, err := r.objects.JobSet(key.Namespace, key.Name)
		if err != nil {
			return gangs.PodGroupWish{}, err
		}
		return gangs.JobSetPodGroup(set), nil
	}
	cluster, err := r.objects.RayCluster(key.Namespace, key.Name)
	if err != nil {
		return gangs.PodGroupWish{}, err
	}
	return gangs.RayClusterPodGroup(cluster), nil
}

// own records the owner of a PodGroup. It drops the record of a PodGroup whose owner was
// an earlier object with the same name.
func (r *PodGroups) own(group types.NamespacedName, key gangs.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.owners[group]; !ok {
		r.disown(key)
		r.owners[group] = key
	}
}

func (r *PodGroups) disown(key gangs.Key) {
	for group, owner := range r.owners {
		if owner == key {
			delete(r.owners, group)
		}
	}
}

func (r *PodGroups) forget(key gangs.Key) {
	delete(r.said, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, key)
	r.disown(key)
}

func (r *PodGroups) create(ctx context.Context, key gangs.Key, gang gangs.Gang, wish gangs.PodGroupWish) error {
	group := newGroup(gang, wish)
	_, err := r.client.PodGroups(group.Namespace).Create(ctx, group, metav1.CreateOptions{FieldManager: fieldManager})
	switch {
	case err == nil:
		delete(r.said, key)
		r.recorder.Eventf(&gang.Owner, nil, corev1.EventTypeNormal, reasonGroupMade, "Grouping",
			"Made PodGroup %s for %s: %d pods start together", group.Name, key, gang.Min)
		return nil
	case apierrors.IsAlreadyExists(err):
		return nil // the informer does not show the group yet
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	r.complain(key, gang, fmt.Sprintf("PodGroup %s could not be made: %v", group.Name, err))
	return fmt.Errorf("making PodGroup %s/%s: %w", group.Namespace, group.Name, err)
}

// correct patches the fields in which the group differs from its correct state. It records
// a problem if a difference cannot be corrected, or else if the owner's metadata has a mistake: the
// group has no annotation for an invalid value, so its gang cannot report the mistake.
func (r *PodGroups) correct(ctx context.Context, key gangs.Key, gang gangs.Gang, wish gangs.PodGroupWish, group *schedulingv1beta1.PodGroup) error {
	problem, ours := unlikeOurs(gang, wish, group)
	if problem = cmp.Or(problem, gang.MetadataMistake()); problem == "" {
		delete(r.said, key)
	} else {
		r.complain(key, gang, problem)
	}
	if !ours {
		return nil
	}
	change, err := groupChange(gang, group)
	if err != nil || change == nil {
		return err
	}
	_, err = r.client.PodGroups(group.Namespace).Patch(ctx, group.Name, types.MergePatchType, change, metav1.PatchOptions{FieldManager: fieldManager})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // the informer reports the conflicting change
	}
	r.complain(key, gang, fmt.Sprintf("PodGroup %s could not be changed: %v", group.Name, err))
	return fmt.Errorf("changing PodGroup %s/%s: %w", group.Namespace, group.Name, err)
}

// complain records a problem as an event on the owner, and does not repeat the same
// problem.
func (r *PodGroups) complain(key gangs.Key, gang gangs.Gang, sentence string) {
	sentence = key.Messagef("%s", sentence)
	if r.said[key] == sentence {
		return
	}
	r.said[key] = sentence
	r.recorder.Eventf(&gang.Owner, nil, corev1.EventTypeWarning, reasonGroupProblem, "Grouping", "%s", gangs.Note(sentence))
}
