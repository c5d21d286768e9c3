// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// shownDevices has the devices that a cycle sees.
type shownDevices interface {
	Assess(node string, request *devices.Request, rail int, plugin func(v1.ResourceName) bool) devices.Assessment
	AllocatedOn(node string) *structured.AllocatedState
	Allocated() *structured.AllocatedState
}

// setting has what the in-tree plugin's state of a pod is prepared for.
type setting struct {
	planned cluster.Planned
	// freed are the claims that lose their devices with the pods that are taken to be gone,
	// nil for none. shown has the devices without these claims.
	freed *devices.ClaimSet
	shown shownDevices
}

// freedAll is a result of freedByAll.
type freedAll struct {
	gone    *cluster.GonePods
	version int
	freed   *devices.ClaimSet
}
