// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// refersTo reports whether the reference is to an object of that kind, in any version of the API
// group.
func refersTo(ref *metav1.OwnerReference, group, kind string) bool {
	of, _, _ := strings.Cut(ref.APIVersion, "/")
	return ref.Kind == kind && of == group
}
