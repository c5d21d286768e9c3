// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PodEnd returns when a running pod is expected to end, and whether that is a prediction and
// does not follow from a time limit. set is the name of the pods that end together: the pod's
// gang, or the pod alone.
type PodEnd func(pod *corev1.Pod) (set string, at time.Time, predicted bool)

// Forecast has the times at which running pods are expected to end. The zero value has none.
type Forecast struct {
	// Now is the time at which the forecast was made.
	Now time.Time
	Of  PodEnd
}

// Reservation has nodes to reserve for a gang.
type Reservation struct {
	// Nodes has the names of the nodes. All values are true.
	Nodes map[string]bool
	// Start is the time at which the gang can start on the nodes if running pods end when they
	// are expected to. It is zero if that is unknown. Predicted is true if Start is a
	// prediction and does not follow from time limits alone.
	Start     time.Time
	Predicted bool
	// Spare is what the gang leaves free at Start, by node.
	Spare map[string]Capacity
}

// Backfill is the reason why a gang or a pod may use nodes that are reserved for another gang.
type Backfill string

// The reasons: its time limit, or a prediction, says that it ends before the other gang is
// expected to start, or it uses no more of the nodes than the other gang leaves free.
const (
	ByLimit      Backfill = "limit"
	ByPrediction Backfill = "prediction"
	BySpare      Backfill = "spare"
)
