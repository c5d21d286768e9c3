// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Alignment returns the pod's device alignment: how strictly its GPUs and NICs must be
// close to each other. The order of precedence is: the pod's annotation; the annotations
// of its claims, which must agree; the argument, the alignment of the gang (the pods with
// which the pod is placed), "" for none; AlignmentPreferred, which refuses no node. The
// error is a sentence for the user.
func (d *Devices) Alignment(pod *v1.Pod, gang gangs.Alignment) (gangs.Alignment, error) {
	said, err := d.alignmentSaid(pod)
	return cmp.Or(said, gang, gangs.AlignmentPreferred), err
}

// alignmentSaid returns the device alignment that the annotations of the pod or of its
// claims request, or "" if they request none.
func (d *Devices) alignmentSaid(pod *v1.Pod) (gangs.Alignment, error) {
	if own, err := alignmentOn("pod", pod); own != "" || err != nil {
		return own, err
	}
	found, from := gangs.Alignment(""), ""
	var wrong error
	err := d.each(pod, func(claim *resourceapi.ResourceClaim) {
		value, err := alignmentOn("claim", claim)
		switch {
		case err != nil:
			wrong = err
		case value == "" || value == found && from != "":
		case from == "":
			found, from = value, claim.Name
		default:
			wrong = fmt.Errorf("annotation %s is %q on claim %s and %q on claim %s, which must be the same",
				gangs.AlignmentAnnotation, found, from, value, claim.Name)
		}
	})
	if wrong != nil {
		return "", wrong
	}
	return found, err
}

func alignmentOn(kind string, object metav1.Object) (gangs.Alignment, error) {
	value := object.GetAnnotations()[gangs.AlignmentAnnotation]
	return gangs.ParseAlignment(value, fmt.Sprintf("%s %s/%s", kind, object.GetNamespace(), object.GetName()))
}

// ApplyGangAlignment applies the device alignment of the pod's gang if neither the pod
// nor its claims request one.
func (n *PodNeed) ApplyGangAlignment(gang gangs.Alignment) {
	if n.alignment == "" && len(n.Devices) > 0 {
		n.setAligned(gang)
	}
}

func (n *PodNeed) setAligned(alignment gangs.Alignment) {
	n.Aligned = alignment == gangs.AlignmentRequired
	for i := range n.Alternatives {
		n.Alternatives[i].Aligned = n.Aligned
	}
}
