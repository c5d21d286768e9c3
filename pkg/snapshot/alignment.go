// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AlignmentAnnotation says on a pod, on a claim or its template, or on the object
// that declares a gang, how much a pod's GPUs and RDMA NICs must belong together.
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
// those of its claims, which must agree, then what its gang says, "" for nothing.
// The error is a sentence for the author.
func (d *Devices) Alignment(pod *v1.Pod, gang Alignment) (Alignment, error) {
	said, err := d.alignmentSaid(pod)
	return cmp.Or(said, gang, AlignmentPreferred), err
}

// alignmentSaid is what the pod or its claims say, "" for nothing.
func (d *Devices) alignmentSaid(pod *v1.Pod) (Alignment, error) {
	if own, err := alignmentOn("pod", pod); own != "" || err != nil {
		return own, err
	}
	found, from := Alignment(""), ""
	var wrong error
	err := d.each(pod, func(claim *resourceapi.ResourceClaim) {
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
	value := object.GetAnnotations()[AlignmentAnnotation]
	return ParseAlignment(value, fmt.Sprintf("%s %s/%s", kind, object.GetNamespace(), object.GetName()))
}

// ParseAlignment checks a value of AlignmentAnnotation, "" being none. The error is
// a sentence that names the object.
func ParseAlignment(value, object string) (Alignment, error) {
	switch a := Alignment(value); a {
	case "", AlignmentPreferred, AlignmentRequired, AlignmentNone:
		return a, nil
	}
	return "", fmt.Errorf("annotation %s of %s is %q, which must be %s, %s or %s", AlignmentAnnotation,
		object, value, AlignmentPreferred, AlignmentRequired, AlignmentNone)
}

// Adopt takes over what the pod's gang says of alignment, where neither the pod nor
// its claims say anything.
func (n *Need) Adopt(gang Alignment) {
	if n.alignment == "" && len(n.Devices) > 0 {
		n.Aligned = gang == AlignmentRequired
	}
}
