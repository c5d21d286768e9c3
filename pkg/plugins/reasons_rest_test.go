// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// restReasons are about gangs of which some members are bound and others cannot be, and
// about members that can have no scheduling cycle.
var restReasons = []reason{
	{title: "A binding is refused, and the gang is below its minimum", before: func(s *scene) {
		s.unbindable = "train-1"
		s.nodes(plain)
		s.group("train", 3)
		s.pods("train", 3, inGroup("train"))
	}},
	{title: "A binding is refused, and the bound members will be evicted", before: func(s *scene) {
		s.gangArgs = append(s.gangArgs, "healAfter: 1h")
		s.unbindable = "train-1"
		s.nodes(plain)
		s.group("train", 3)
		s.pods("train", 3, append(owned("ReplicaSet"), inGroup("train"))...)
	}},
	{title: "A binding is refused, and nobody would replace the bound members", before: func(s *scene) {
		s.gangArgs = append(s.gangArgs, "healAfter: 1s")
		s.unbindable = "train-1"
		s.nodes(plain)
		s.group("train", 3)
		s.pods("train", 3, inGroup("train"))
	}},
	{title: "A binding is refused, and a budget keeps the bound members", before: func(s *scene) {
		s.gangArgs = append(s.gangArgs, "healAfter: 1s")
		s.evictions = apierrors.NewTooManyRequests("the budget is spent", 1)
		s.unbindable = "train-1"
		s.nodes(plain)
		s.group("train", 3)
		s.pods("train", 3, append(owned("ReplicaSet"), inGroup("train"))...)
	}},
	{title: "The claim that was made for a member is gone", before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2)
		s.template("eight-gpus")
		s.pods("train", 2, inGroup("train"), fromTemplate("eight-gpus"), madeClaim("train-devices"))
	}},
}

// madeClaim has the pod's status name a claim made from its template.
func madeClaim(name string) change {
	return func(p *v1.Pod) {
		p.Status.ResourceClaimStatuses = []v1.PodResourceClaimStatus{{Name: "devices", ResourceClaimName: &name}}
	}
}
