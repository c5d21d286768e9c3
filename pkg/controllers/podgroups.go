// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// Reasons of the events that a PodGroups puts on owners.
const (
	reasonGroupMade    = "PodGroupCreated"
	reasonGroupProblem = "PodGroupProblem"
)

type keyQueue = workqueue.TypedRateLimitingInterface[gangs.Key]

// PodGroups makes a PodGroup of Kubernetes itself for each RayCluster and JobSet
// whose pods ask for one (gangs.MakePodGroupLabel), and keeps it true: minCount is
// what pkg/gangs says that the quorum is, and the wishes for topology and alignment
// are the owner's.
//
// A group belongs to its owner and goes with it. What has the name of a group and
// has another owner is left alone. Of an owner that is suspended or ends nothing
// is changed; neither is the group of one that asks no longer, for its pods are
// still in it.
type PodGroups struct {
	client   schedulingclient.PodGroupsGetter
	objects  gangs.Objects
	sources  gangs.Sources
	recorder events.EventRecorder

	mu sync.Mutex
	// known are the objects that may ask. They outlast a run, so that the next
	// one looks at all of them.
	known map[gangs.Key]struct{}
	// owners are those of groups that were looked for.
	owners map[types.NamespacedName]gangs.Key
	queue  keyQueue // nil while the controller does not run

	// said is the last problem of each owner. Only the one who works touches it.
	said map[gangs.Key]string
}

// NewPodGroups returns the reconciler. Its Changed is to be called with the key
// of every gang whose declaration changes, also before and between its runs.
func NewPodGroups(client schedulingclient.PodGroupsGetter, objects gangs.Objects, recorder events.EventRecorder) *PodGroups {
	return &PodGroups{
		client: client, objects: objects, sources: gangs.NewSources(objects), recorder: recorder,
		known: map[gangs.Key]struct{}{}, owners: map[types.NamespacedName]gangs.Key{}, said: map[gangs.Key]string{},
	}
}

// Changed has the object that declares the gang looked at, or the owner of a group.
func (r *PodGroups) Changed(key gangs.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch key.Source {
	case gangs.RayClusterSource, gangs.JobSetSource:
		r.known[key] = struct{}{}
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

// Run works until ctx is done. It may be called again after that.
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

// open makes a queue that holds all that is known.
func (r *PodGroups) open() keyQueue {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[gangs.Key]())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = queue
	for key := range r.known {
		queue.Add(key)
	}
	return queue
}

// reconcile makes or corrects the group of one owner, if that asks for one.
func (r *PodGroups) reconcile(ctx context.Context, key gangs.Key) error {
	wish, err := r.wish(key)
	if errors.Is(err, gangs.ErrNotFound) || errors.Is(err, gangs.ErrNotInstalled) {
		r.forget(key)
		return nil
	}
	if err != nil || !wish.Asked {
		delete(r.said, key)
		return nil // not read yet: it is notified; or malformed: its gang reports it
	}
	gang, err := r.sources.Gang(key, nil)
	if err != nil {
		return nil // it was deleted this moment, and is notified
	}
	name := types.NamespacedName{Namespace: key.Namespace, Name: gangs.PodGroupName(key.Name, gang.UID)}
	r.own(name, key)
	group, err := r.objects.PodGroup(name.Namespace, name.Name)
	switch {
	case errors.Is(err, gangs.ErrNotInstalled):
		r.complain(key, gang, fmt.Sprintf("PodGroup %s cannot be made: the API server does not serve %s", name.Name, schedulingv1beta1.SchemeGroupVersion))
		return nil
	case err != nil && !errors.Is(err, gangs.ErrNotFound):
		return nil // whether it exists is not known; a change is notified
	case wish.Resting:
		delete(r.said, key)
		return nil
	case cmp.Or(wish.Problem, gang.Problem) != "":
		r.complain(key, gang, "PodGroup "+name.Name+" is not kept: "+cmp.Or(wish.Problem, gang.Problem))
		return nil
	case gang.Min < 1:
		return nil // a group of none cannot be; there are no pods that would miss it
	case err != nil:
		return r.create(ctx, key, gang, wish)
	default:
		return r.correct(ctx, key, gang, wish, group)
	}
}

// wish reads what the object of that key asks for.
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

// own notes whose group it is. An earlier object of the same name had another.
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
		return nil // it is on its way to the informer
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	r.complain(key, gang, fmt.Sprintf("PodGroup %s could not be made: %v", group.Name, err))
	return fmt.Errorf("making PodGroup %s/%s: %w", group.Namespace, group.Name, err)
}

// correct writes what differs between the group and what it should be. What can
// never be changed is said.
func (r *PodGroups) correct(ctx context.Context, key gangs.Key, gang gangs.Gang, wish gangs.PodGroupWish, group *schedulingv1beta1.PodGroup) error {
	problem, ours := unlikeOurs(gang, wish, group)
	if problem == "" {
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
		return nil // the change that came between is notified
	}
	r.complain(key, gang, fmt.Sprintf("PodGroup %s could not be changed: %v", group.Name, err))
	return fmt.Errorf("changing PodGroup %s/%s: %w", group.Namespace, group.Name, err)
}

// complain puts a problem on the owner, once as long as it stays the same.
func (r *PodGroups) complain(key gangs.Key, gang gangs.Gang, sentence string) {
	sentence = key.Messagef("%s", sentence)
	if r.said[key] == sentence {
		return
	}
	r.said[key] = sentence
	r.recorder.Eventf(&gang.Owner, nil, corev1.EventTypeWarning, reasonGroupProblem, "Grouping", "%s", gangs.Note(sentence))
}
