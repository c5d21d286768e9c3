// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	fwk "k8s.io/kube-scheduler/framework"
	stock "k8s.io/kubernetes/pkg/scheduler/framework/preemption"

	"github.com/dovetail-dev/dovetail/pkg/evict"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// reader reads the gangs of running pods. It adds to the sources the PodGroups of
// scheduling.k8s.io that the scheduler places in cycles of their own.
type reader struct {
	gangs.Sources
	// groups is nil if the scheduler has no PodGroup cycles, composites if it has none for
	// CompositePodGroups.
	groups     fwk.PodGroupLister
	composites fwk.CompositePodGroupLister
}

var _ evict.Reader = reader{}

// Member returns the pod as a member of its gang. Pods below a CompositePodGroup with
// disruption mode all are members of the topmost such group: they are disrupted together.
func (r reader) Member(pod *v1.Pod) (gangs.Member, bool) {
	if r.groups == nil || !gangs.InPodGroup(pod) {
		return r.Sources.Member(pod)
	}
	m := gangs.PodGroupMember(pod)
	if r.composites == nil {
		return m, true
	}
	own := fwk.PodGroupKey(pod.Namespace, *pod.Spec.SchedulingGroup.PodGroupName)
	stock.TraverseHierarchyUp(pod.Namespace, own, r.groups, r.composites,
		func(key fwk.EntityKey, _ *schedulingv1beta1.PodGroup, composite *schedulingv1alpha3.CompositePodGroup) (stop bool) {
			if composite != nil && composite.Spec.DisruptionMode != nil && composite.Spec.DisruptionMode.All != nil {
				m.Key = gangs.Key{Source: gangs.CompositeSource, Namespace: key.Namespace, Name: key.Name}
			}
			return false
		})
	return m, true
}

// Gang returns what is declared about a gang. A PodGroup or CompositePodGroup with disruption
// mode all has no members beyond its minimum.
func (r reader) Gang(key gangs.Key, members []gangs.Member) (gangs.Gang, error) {
	switch {
	case r.groups == nil:
	case key.Source == gangs.CompositeSource:
		return gangs.Gang{Key: key, Min: len(members)}, nil
	case gangs.InPodGroup(members[0].Pod) && key == gangs.PodGroupKeyOf(members[0].Pod):
		group, err := r.groups.Get(key.Namespace, key.Name)
		if err != nil {
			return gangs.Gang{}, fmt.Errorf("reading PodGroup %s/%s: %w", key.Namespace, key.Name, err)
		}
		gang := gangs.PodGroupGang(group, members)
		if !gang.Single {
			gang.Min = len(members)
		}
		return gang, nil
	}
	return r.Sources.Gang(key, members)
}
