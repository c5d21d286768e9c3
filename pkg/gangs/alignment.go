// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import "fmt"

// Alignment is a value of AlignmentAnnotation: how strictly a pod's GPUs and NICs must be
// aligned, that is close to each other on the node, as under one PCIe root.
type Alignment string

// The values of AlignmentAnnotation.
const (
	// AlignmentPreferred chooses the best-aligned devices of a node and never refuses a
	// node.
	AlignmentPreferred Alignment = "preferred"
	// AlignmentRequired refuses nodes on which a NIC of the pod would not be aligned with
	// one of the pod's GPUs.
	AlignmentRequired Alignment = "required"
	// AlignmentNone leaves the choice of devices to Kubernetes' own allocator.
	AlignmentNone Alignment = "none"
)

// ParseAlignment returns a value of AlignmentAnnotation as an Alignment. An empty value is
// valid and stays empty. For an invalid value it returns an error that names the object and
// the valid values.
func ParseAlignment(value, object string) (Alignment, error) {
	switch a := Alignment(value); a {
	case "", AlignmentPreferred, AlignmentRequired, AlignmentNone:
		return a, nil
	}
	return "", fmt.Errorf("annotation %s of %s is %q, which must be %s, %s or %s", AlignmentAnnotation,
		object, value, AlignmentPreferred, AlignmentRequired, AlignmentNone)
}
