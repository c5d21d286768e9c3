// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	v1 "k8s.io/api/core/v1"
	schedulinglisters "k8s.io/client-go/listers/scheduling/v1beta1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Running reads the gangs of running pods from all sources (ways to declare a gang) and, if the
// scheduler places PodGroups of scheduling.k8s.io in cycles of its own, from these PodGroups.
type Running struct {
	gangs.Sources
	groups schedulinglisters.PodGroupLister
}

// NewRunning returns a Running. A nil lister means that the sources read all PodGroups.
func NewRunning(sources gangs.Sources, groups schedulinglisters.PodGroupLister) *Running {
	return &Running{Sources: sources, groups: groups}
}

// Member returns the pod as a member of its gang, if it is in one.
func (r *Running) Member(pod *v1.Pod) (gangs.Member, bool) {
	if r.groups != nil && gangs.InPodGroup(pod) {
		return gangs.PodGroupMember(pod), true
	}
	return r.Sources.Member(pod)
}

// Gang returns what is declared about a gang.
func (r *Running) Gang(key gangs.Key, members []gangs.Member) (gangs.Gang, error) {
	if r.groups == nil || key.Source != gangs.PodGroupSource {
		return r.Sources.Gang(key, members)
	}
	group, err := r.groups.PodGroups(key.Namespace).Get(key.Name)
	if err != nil {
		return gangs.Gang{}, &gangs.LookupError{Key: key, Reason: err}
	}
	return gangs.PodGroupGang(group, members), nil
}
