// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Less keeps members of one gang adjacent. It orders by priority, then by the time of the
// gang's first pod, then by gang, then by name. For a pod without a gang the time is its
// own queueing time, as in the in-tree plugin.
func (g *Gang) Less(a, b fwk.QueuedEntityInfo) bool {
	if pa, pb := a.GetPriority(), b.GetPriority(); pa != pb {
		return pa > pb
	}
	ka, kb := g.queueKey(a), g.queueKey(b)
	if !ka.at.Equal(kb.at) {
		return ka.at.Before(kb.at)
	}
	if ka.gang != kb.gang {
		return gangs.CompareKeys(ka.gang, kb.gang) < 0
	}
	return ka.name < kb.name
}

// queueKey is the sort key among entities of equal priority.
type queueKey struct {
	at   time.Time
	gang gangs.Key
	name string
}

func (g *Gang) queueKey(entity fwk.QueuedEntityInfo) queueKey {
	if group, ok := entity.(*framework.QueuedPodGroupInfo); ok {
		return groupQueueKey(group)
	}
	queued, ok := entity.(interface{ GetPod() *v1.Pod })
	if !ok {
		return queueKey{at: entity.GetTimestamp()}
	}
	pod := queued.GetPod()
	key, ok := g.sources.Key(pod)
	if !ok {
		return queueKey{at: entity.GetTimestamp()}
	}
	at, ok := g.tracker.Order(key)
	if !ok {
		at = entity.GetTimestamp()
	}
	return queueKey{at: at, gang: key, name: pod.Name}
}

// groupQueueKey orders PodGroups of scheduling.k8s.io by creation time. After a restart, a
// partly bound group then comes before all newer groups.
func groupQueueKey(group *framework.QueuedPodGroupInfo) queueKey {
	key := queueKey{at: group.GetTimestamp(), name: group.Namespace + "/" + group.Name}
	switch {
	case group.PodGroup != nil:
		key.at = group.PodGroup.CreationTimestamp.Time
	case group.CompositePodGroup != nil:
		key.at = group.CompositePodGroup.CreationTimestamp.Time
	}
	return key
}

// SignPod excludes members from opportunistic batching: each follows its plan.
func (g *Gang) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if key, ok := g.sources.Key(pod); ok {
		return nil, fwk.NewStatus(fwk.Unschedulable, "member of "+key.String())
	}
	return nil, nil
}
