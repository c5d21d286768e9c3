// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// rankStride is the factor of the outer index in a rank of two indices. No workload
// controller makes a million pods with one outer index.
const rankStride = 1 << 20

// rankOf returns a pod's position in its role (members with one task) from an outer and an
// inner index, such as those of the pod's Job in a JobSet and of the pod in the Job. outer
// and inner are keys of labels or annotations of the pod. If both are missing, the rank is
// unknown.
func rankOf(pod *corev1.Pod, outer, inner string) Rank {
	o, hasOuter := indexAt(pod, outer)
	i, hasInner := indexAt(pod, inner)
	return Rank{Known: hasOuter || hasInner, Index: o*rankStride + i}
}

func indexAt(pod *corev1.Pod, key string) (int64, bool) {
	text, ok := pod.Labels[key]
	if !ok {
		text, ok = pod.Annotations[key]
	}
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}
