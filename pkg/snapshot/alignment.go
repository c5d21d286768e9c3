// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AlignmentAnnotation says on a pod, or on a claim or its template, how much the
// pod's GPUs and RDMA NICs must belong together.
const AlignmentAnnotation = "dovetail.dev/device-alignment"

// Alignment is a value of AlignmentAnnotation.
type Alignment string

// The values.
const (
	// AlignmentPreferred chooses the best devices of a node and never refuses one.
	AlignmentPreferred Alignment = "preferred"
	// AlignmentRequired refuses nodes where a NIC would stand apart from the
	// pod's GPUs.
	AlignmentRequired Alignment = "required"
	// AlignmentNone leaves the choice to the stock allocator.
	AlignmentNone Alignment = "none"
)

// Alignment reads what is wanted for the pod: its own annotation comes first, then
// those of its claims, which must agree. The error is a sentence for the author.
func (d *Devices) Alignment(pod *v1.Pod) (Alignment, error) {
	if own, err := alignmentOn("pod", pod); own != "" || err != nil {
		return own, err
	}
	found, from := AlignmentPreferred, ""
	var wrong error
	err := d.each(pod, func(_ string, claim *resourceapi.ResourceClaim) {
		one, err := alignmentOn("claim", claim)
		switch {
		case err != nil:
			wrong = err
		case one == "" || one == found && from != "":
		case from == "":
			found, from = one, claim.Name
		default:
			wrong = fmt.Errorf("annotation %s is %q on claim %s and %q on claim %s, which must be the same",
				AlignmentAnnotation, found, from, one, claim.Name)
		}
	})
	if wrong != nil {
		return "", wrong
	}
	return found, err
}

func alignmentOn(kind string, object metav1.Object) (Alignment, error) {
	switch value := Alignment(object.GetAnnotations()[AlignmentAnnotation]); value {
	case "", AlignmentPreferred, AlignmentRequired, AlignmentNone:
		return value, nil
	default:
		return "", fmt.Errorf("annotation %s of %s %s/%s is %q, which must be %s, %s or %s", AlignmentAnnotation,
			kind, object.GetNamespace(), object.GetName(), value, AlignmentPreferred, AlignmentRequired, AlignmentNone)
	}
}
