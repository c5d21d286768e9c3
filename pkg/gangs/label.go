// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import corev1 "k8s.io/api/core/v1"

// LabelSource is the Key.Source (the way of declaring, in a gang's key) of gangs that are
// declared by Dovetail's own label and annotation on their pods.
const LabelSource = "ganglabel"

// labelSource is the Source (reader of gang declarations) for pods with Dovetail's own
// label. It is meant for pods whose controller declares no gang, such as those of a
// StatefulSet or a Deployment, and for single pods that belong together.
type labelSource struct{}

// NewLabelSource returns the source of gangs declared by Dovetail's own label.
func NewLabelSource() Source { return labelSource{} }

// LabelKey returns the key of the gang of that name.
func LabelKey(namespace, name string) Key {
	return Key{Source: LabelSource, Namespace: namespace, Name: name}
}

func (labelSource) Name() string { return LabelSource }

func (labelSource) Key(pod *corev1.Pod) (Key, bool) {
	name := pod.Labels[GangNameLabel]
	if name == "" {
		return Key{}, false
	}
	return LabelKey(pod.Namespace, name), true
}

func (labelSource) Role(pod *corev1.Pod) string { return shapeRole(pod) }

func (labelSource) Rank(pod *corev1.Pod) Rank { return groupRank(pod) }

func (labelSource) Gang(key Key, members []Member) (Gang, error) {
	return countedGang(key, members, GangMinAnnotation), nil
}
