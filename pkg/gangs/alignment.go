// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import "fmt"

// AlignmentAnnotation says on a pod, on a claim or its template, or on the object that
// declares a gang, how much a pod's GPUs and RDMA NICs must belong together.
const AlignmentAnnotation = AnnotationPrefix + "device-alignment"

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
