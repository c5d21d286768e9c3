// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
)

// PodGroupSource is the Key.Source (the way of declaring, in a gang's key) of gangs declared
// by a PodGroup of scheduling.k8s.io.
const PodGroupSource = "schedulinggroup"

// PodGroups looks up PodGroups of scheduling.k8s.io. Only their metadata
// and spec are read.
type PodGroups interface {
	PodGroup(namespace, name string) (*schedulingv1beta1.PodGroup, error)
}

// podGroupSource is the Source (reader of gang declarations) that reads the PodGroup which a
// pod names in its spec. It is for a kube-scheduler whose feature gate GenericWorkload is
// off. With the gate on, kube-scheduler's own PodGroup cycle schedules these pods, and this
// Source must be left out.
//
// A PodGroup with the basic policy is not a gang. If the cluster's Job controller creates
// PodGroups, every Job has a PodGroup of that kind.
type podGroupSource struct {
	groups PodGroups
}

// NewPodGroupSource returns the source of gangs declared by PodGroups of
// scheduling.k8s.io.
func NewPodGroupSource(groups PodGroups) Source {
	return podGroupSource{groups: groups}
}

// PodGroupKey returns the key of the gang that this PodGroup declares.
func PodGroupKey(namespace, name string) Key {
	return Key{Source: PodGroupSource, Namespace: namespace, Name: name}
}

func (podGroupSource) Name() string { return PodGroupSource }

// Key returns the gang of the pod's PodGroup, unless the PodGroup is known and declares
// no gang.
func (s podGroupSource) Key(pod *corev1.Pod) (Key, bool) {
	if !InPodGroup(pod) {
		return Key{}, false
	}
	key := PodGroupKeyOf(pod)
	group, err := s.groups.PodGroup(key.Namespace, key.Name)
	if err == nil && group.Spec.SchedulingPolicy.Gang == nil {
		return Key{}, false
	}
	return key, true
}

func (podGroupSource) Role(pod *corev1.Pod) string { return groupRole(pod) }

func (podGroupSource) Rank(pod *corev1.Pod) Rank { return groupRank(pod) }

func (s podGroupSource) Gang(key Key, members []Member) (Gang, error) {
	group, err := s.groups.PodGroup(key.Namespace, key.Name)
	if err != nil {
		return Gang{}, notServed(err)
	}
	if group.Spec.SchedulingPolicy.Gang == nil {
		return Gang{}, &LookupError{Key: key, Reason: ErrNoGang}
	}
	g := declaredBy(group)
	g.Problem = podGroupProblem(key, group)
	g.Roles = rolesByQuorum(g, members)
	return g, nil
}

// declaredBy returns the gang that a PodGroup declares, without its roles. It serves
// podGroupSource and kube-scheduler's own PodGroup cycle. A group with the basic policy has
// Min 1.
func declaredBy(group *schedulingv1beta1.PodGroup) Gang {
	g := Gang{
		Key:      PodGroupKey(group.Namespace, group.Name),
		UID:      group.UID,
		Min:      1,
		Topology: topologyOf(group.Annotations),
		RunTime:  runTimeOf(&group.ObjectMeta, PodGroupKey(group.Namespace, group.Name).String(), Limit{}),
		Owner: corev1.ObjectReference{
			APIVersion: schedulingv1beta1.SchemeGroupVersion.String(),
			Kind:       "PodGroup",
			Namespace:  group.Namespace,
			Name:       group.Name,
			UID:        group.UID,
		},
		Created: group.CreationTimestamp.Time,
	}
	if policy := group.Spec.SchedulingPolicy.Gang; policy != nil {
		g.Min, g.MinField = int(policy.MinCount), "spec.schedulingPolicy.gang.minCount"
	}
	return g
}

// notServed adds to an ErrNotInstalled error how to make the API server serve PodGroups.
// It returns any other error unchanged.
func notServed(err error) error {
	lookup := (*LookupError)(nil)
	if !errors.As(err, &lookup) || !errors.Is(lookup.Reason, ErrNotInstalled) {
		return err
	}
	told := *lookup
	told.Detail = "scheduling.k8s.io/v1beta1, which the API server serves with feature gate GenericWorkload and --runtime-config,"
	return &told
}

// podGroupProblem returns a sentence if the PodGroup is invalid, is being deleted or sets a
// field that only kube-scheduler's own PodGroup cycle implements. A user who sets such a
// field expects it to have an effect.
func podGroupProblem(key Key, group *schedulingv1beta1.PodGroup) string {
	unread := func(field, instead string) string {
		return fmt.Sprintf("%s of %s is not carried out while this scheduler's feature gate GenericWorkload is off%s", field, key, instead)
	}
	spec := &group.Spec
	switch {
	case group.DeletionTimestamp != nil:
		return fmt.Sprintf("%s is being deleted", key)
	case spec.SchedulingPolicy.Gang.MinCount < 1:
		return fmt.Sprintf("spec.schedulingPolicy.gang.minCount of %s is %d, but must be at least 1", key, spec.SchedulingPolicy.Gang.MinCount)
	case spec.ParentCompositePodGroupName != nil:
		return unread("spec.parentCompositePodGroupName", "")
	case spec.SchedulingConstraints != nil && len(spec.SchedulingConstraints.Topology) > 0:
		return unread("spec.schedulingConstraints.topology", "; annotation "+RequiredAnnotation+" is")
	case len(spec.ResourceClaims) > 0:
		return unread("spec.resourceClaims", "")
	}
	return ""
}
