// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// The schedulers, by the name that pods have in spec.schedulerName.
const (
	stock    = corev1.DefaultSchedulerName
	dovetail = "dovetail"
)

// The fleets of the two namespaces. A taint keeps the attacker's pods off the victim's nodes.
var (
	attackerFleet = fleet.Spec{Name: "attacker", Shape: fleet.NDH100v5, Spines: 2, Leaves: 2, Nodes: 8, Zone: "zone-1", PlacementGroup: "attacker"}
	victimFleet   = fleet.Spec{Name: "victim", Shape: fleet.NDH100v5, Spines: 1, Leaves: 2, Nodes: 6, Zone: "zone-1", PlacementGroup: "victim"}
)

// idleClass is a StorageClass that nobody provisions volumes of.
const idleClass = "idle"

// taintKey is the key of the taint of the victim's nodes.
const taintKey = "example.com/dedicated"

var podGroups = schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "podgroups"}

// controlOf returns the scheduler of the control pods.
func controlOf(scheduler string) string {
	if scheduler == dovetail {
		return stock
	}
	return dovetail
}

// component returns the name of a scheduler's component.
func component(scheduler string) string {
	if scheduler == dovetail {
		return localcluster.Dovetail
	}
	return localcluster.Scheduler
}

// The names of the pods of a batch of the victim, by its number.
func singleName(number int) string             { return fmt.Sprintf("single-%d", number) }
func deviceName(number int) string             { return fmt.Sprintf("device-%d", number) }
func controlName(number int) string            { return fmt.Sprintf("control-%d", number) }
func gangName(number int) string               { return fmt.Sprintf("gang-%d", number) }
func memberName(number int, member int) string { return fmt.Sprintf("%s-%d", gangName(number), member) }

// tolerant makes the pod tolerate every taint.
func tolerant(pod *corev1.Pod) {
	pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}
