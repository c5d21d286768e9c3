// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// maxAlternatives is the maximum number of ways to choose a subrequest for each of a pod's
// requests with alternatives. For a pod with more ways the planner of nodes chooses none: it
// counts with the smallest subrequest of each request, and Kubernetes' DRA allocator chooses.
const maxAlternatives = 32

// Alternative is one way to choose a subrequest for each of a pod's requests with
// alternatives (firstAvailable).
type Alternative struct {
	plan.Need
	// RDMA is set if some of the devices are RDMA NICs.
	RDMA        bool
	Subrequests gangs.Subrequests
	// Asks lists the chosen subrequests for messages: "4 of class gpu.nvidia.com".
	Asks string

	want devices.Request
}

// waysToChoose lists the ways to choose subrequests for those of the pod's claims that have
// no devices allocated, in order of preference: a way that gives only a later request a less
// preferred subrequest comes before one that does so for an earlier request. It returns
// nil if there is only one way or more than maxAlternatives.
func waysToChoose(pod *v1.Pod, claims []*resourceapi.ResourceClaim) []Alternative {
	ways := []Alternative{{}}
	for _, claim := range claims {
		ref := refOf(pod, claim)
		if claim.Status.Allocation != nil || ref == "" {
			continue
		}
		for i := range claim.Spec.Devices.Requests {
			request := &claim.Spec.Devices.Requests[i]
			if len(request.FirstAvailable) == 0 {
				continue
			}
			if ways = combine(ways, ref, request); len(ways) > maxAlternatives {
				return nil
			}
		}
	}
	if len(ways) < 2 {
		return nil
	}
	return ways
}

// combine returns every way that one of these ways and one subrequest of the request make
// together.
func combine(ways []Alternative, ref string, request *resourceapi.DeviceRequest) []Alternative {
	var out []Alternative
	for _, way := range ways {
		for i := range request.FirstAvailable {
			sub := &request.FirstAvailable[i]
			chosen := ref + "/" + request.Name + "/" + sub.Name
			out = append(out, Alternative{
				Subrequests: gangs.Subrequests(strings.TrimSpace(string(way.Subrequests) + " " + chosen)),
				Asks:        strings.TrimPrefix(way.Asks+" and "+asks(sub), " and "),
			})
		}
	}
	return out
}

func asks(sub *resourceapi.DeviceSubRequest) string {
	if sub.AllocationMode == resourceapi.DeviceAllocationModeAll {
		return "all of class " + sub.DeviceClassName
	}
	return fmt.Sprintf("%d of class %s", max(sub.Count, 1), sub.DeviceClassName)
}

// Narrow returns the pod's claim with only the chosen subrequest of each request that has
// alternatives. It returns the claim itself if it has devices allocated or nothing is chosen
// for it, and otherwise a copy that differs only in these requests.
func Narrow(pod *v1.Pod, claim *resourceapi.ResourceClaim, chosen gangs.Subrequests) *resourceapi.ResourceClaim {
	if chosen == "" || claim.Status.Allocation != nil {
		return claim
	}
	ref := refOf(pod, claim)
	narrow := *claim
	narrow.Spec.Devices.Requests = slices.Clone(claim.Spec.Devices.Requests)
	narrowed := false
	for i := range narrow.Spec.Devices.Requests {
		request := &narrow.Spec.Devices.Requests[i]
		at := slices.IndexFunc(request.FirstAvailable, func(sub resourceapi.DeviceSubRequest) bool {
			return chosen.Has(ref, request.Name, sub.Name)
		})
		if at >= 0 {
			request.FirstAvailable = request.FirstAvailable[at : at+1 : at+1]
			narrowed = true
		}
	}
	if !narrowed {
		return claim
	}
	return &narrow
}

// refOf returns the pod's name for a claim, or "" if the pod does not have the claim.
func refOf(pod *v1.Pod, claim *resourceapi.ResourceClaim) string {
	if pod.Namespace != claim.Namespace {
		return ""
	}
	for i := range pod.Spec.ResourceClaims {
		ref := &pod.Spec.ResourceClaims[i]
		if name, _, err := resourceclaim.Name(pod, ref); err == nil && name != nil && *name == claim.Name {
			return ref.Name
		}
	}
	return ""
}
