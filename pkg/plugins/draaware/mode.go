// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// AlignmentAnnotation says on a pod how much its GPUs and RDMA NICs must belong
// together.
const AlignmentAnnotation = "dovetail.dev/device-alignment"

// Mode is a value of AlignmentAnnotation.
type Mode string

// The modes.
const (
	// Preferred chooses the best devices of a node and never refuses one.
	Preferred Mode = "preferred"
	// Required refuses nodes where a NIC would stand apart from the pod's GPUs.
	Required Mode = "required"
	// None leaves the choice to the stock allocator.
	None Mode = "none"
)

// modeOf reads the pod's mode. The error is a sentence for the pod's author.
func modeOf(pod *v1.Pod) (Mode, error) {
	switch mode := Mode(pod.Annotations[AlignmentAnnotation]); mode {
	case "":
		return Preferred, nil
	case Preferred, Required, None:
		return mode, nil
	default:
		return "", fmt.Errorf("annotation %s of pod %s is %q, which must be %s, %s or %s",
			AlignmentAnnotation, klog.KObj(pod), mode, Preferred, Required, None)
	}
}
