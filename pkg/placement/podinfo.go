// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// podInfoMaker makes the PodInfos of simulated pods, which the scheduler framework adds to a
// NodeInfo. All pods of one maker have the same resource requests and affinity terms: the
// first call of place reads these, and later calls copy them.
type podInfoMaker struct {
	first *framework.PodInfo
}

// place returns the PodInfo of the pod on a node, with another UID if uid is not the pod's.
func (p *podInfoMaker) place(pod *v1.Pod, uid types.UID, node string) (*framework.PodInfo, error) {
	placed := *pod
	placed.UID, placed.Spec.NodeName = uid, node
	if p.first == nil {
		first, err := framework.NewPodInfo(&placed)
		if err != nil {
			return nil, err
		}
		first.CalculateResource()
		p.first = first
	}
	info := *p.first
	info.Pod = &placed
	return &info, nil
}
