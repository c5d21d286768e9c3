// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"encoding/json"
	"strconv"

	v1 "k8s.io/api/core/v1"
)

const (
	fromVolcano source = "Volcano PodGroup"
	// fromYuniKorn, fromKueue and fromLeaderWorkerSet are gangs that pods declare themselves.
	fromYuniKorn        source = "YuniKorn application"
	fromKueue           source = "Kueue pod group"
	fromLeaderWorkerSet source = "LeaderWorkerSet group"
)

// Labels and annotations of the gangs of other schedulers and queues.
const (
	volcanoGroup       = "scheduling.k8s.io/group-name"
	yuniKornApp        = "applicationId"
	yuniKornGroup      = "yunikorn.apache.org/task-group-name"
	yuniKornGroups     = "yunikorn.apache.org/task-groups"
	kueueGroup         = "kueue.x-k8s.io/pod-group-name"
	kueueTotal         = "kueue.x-k8s.io/pod-group-total-count"
	kueueFastAdmission = "kueue.x-k8s.io/pod-group-fast-admission"
	lwsName            = "leaderworkerset.sigs.k8s.io/name"
	lwsGroup           = "leaderworkerset.sigs.k8s.io/group-index"
	lwsSize            = "leaderworkerset.sigs.k8s.io/size"
)

// declaredByPod reads the minimum number of members of each role that a pod declares, by source
// (way to declare a gang).
var declaredByPod = map[source]func(*v1.Pod) quorum{
	fromLabel:           declaredByAnnotation(gangMinimum),
	fromKueue:           declaredByAnnotation(kueueTotal),
	fromLeaderWorkerSet: declaredByAnnotation(lwsSize),
	fromYuniKorn:        declaredByTaskGroups,
}

// otherSchedulersGang returns the gang of a pod that is labelled for another scheduler or
// queue.
func otherSchedulersGang(pod *v1.Pod) (gangKey, role, bool) {
	key := func(from source, name string) gangKey {
		return gangKey{source: from, namespace: pod.Namespace, name: name}
	}
	switch {
	case pod.Annotations[volcanoGroup] != "":
		return key(fromVolcano, pod.Annotations[volcanoGroup]), anyRole, true
	case pod.Annotations[yuniKornGroup] != "" && pod.Labels[yuniKornApp] != "":
		return key(fromYuniKorn, pod.Labels[yuniKornApp]), role(pod.Annotations[yuniKornGroup]), true
	case pod.Labels[kueueGroup] != "" && pod.Annotations[kueueFastAdmission] != "true":
		return key(fromKueue, pod.Labels[kueueGroup]), anyRole, true
	case pod.Labels[lwsName] != "" && pod.Labels[lwsGroup] != "":
		return key(fromLeaderWorkerSet, pod.Labels[lwsName]+"/"+pod.Labels[lwsGroup]), anyRole, true
	}
	return gangKey{}, "", false
}

func declaredByAnnotation(name string) func(*v1.Pod) quorum {
	return func(pod *v1.Pod) quorum {
		if n, err := strconv.ParseInt(pod.Annotations[name], 10, 32); err == nil && n > 0 {
			return quorum{anyRole: n}
		}
		return nil
	}
}

func declaredByTaskGroups(pod *v1.Pod) quorum {
	var groups []struct {
		Name      string `json:"name"`
		MinMember int64  `json:"minMember"`
	}
	if json.Unmarshal([]byte(pod.Annotations[yuniKornGroups]), &groups) != nil {
		return nil
	}
	least := quorum{}
	for _, group := range groups {
		least[role(group.Name)] = group.MinMember
	}
	return least
}
