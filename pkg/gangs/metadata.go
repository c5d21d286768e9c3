// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// knownKey is the key of a label or an annotation of Dovetail. label and annotation say
// whether the key has an effect on a label and on an annotation.
type knownKey struct {
	key               string
	label, annotation bool
}

// knownKeys are all keys with Dovetail's prefix that have an effect.
var knownKeys = []knownKey{
	{key: GangAnnotation, label: true, annotation: true},
	{key: GangNameLabel, label: true},
	{key: GangMinAnnotation, annotation: true},
	{key: RequiredAnnotation, annotation: true},
	{key: PreferredAnnotation, annotation: true},
	{key: AlignmentAnnotation, annotation: true},
	{key: TimeLimitAnnotation, annotation: true},
	{key: CheckpointAnnotation, annotation: true},
	{key: MinRuntimeAnnotation, annotation: true},
	{key: PreemptionAnnotation, annotation: true},
	{key: MakePodGroupLabel, label: true},
	{key: scheduleLabel, label: true},
}

// maxTypos is the maximum number of edits (letters inserted, deleted or replaced) between a
// misspelt key and the known key that a sentence suggests. For short keys the maximum is a
// third of the length after the prefix.
const maxTypos = 4

// thePod is the subject of sentences that are recorded on the pod itself. It is not the
// pod's name, so that all pods of a template get the same sentence.
const thePod = "the pod"

// MetadataMistake returns a sentence about a label or annotation of the pod with
// Dovetail's prefix that has no effect: an unknown key, a label that must be an
// annotation or the reverse, an invalid value for the run time, or an invalid
// AlignmentAnnotation (how close the pod's devices must be) of a pod without claims. It
// also checks MaxExecTimeLabel, a label of Kueue. It returns "" if there is no mistake. A pod
// with claims and an invalid AlignmentAnnotation is refused when it is scheduled, which is
// reported then.
func MetadataMistake(pod *corev1.Pod) string {
	_, kueue := pod.Labels[MaxExecTimeLabel]
	if !kueue && !hasOwnKey(pod.Labels) && !hasOwnKey(pod.Annotations) {
		return ""
	}
	if key := firstMistake(pod.Labels, func(k knownKey) bool { return k.label }); key != "" {
		return keySentence("label", key, thePod)
	}
	if key := annotationMistake(pod.Annotations); key != "" {
		return keySentence("annotation", key, thePod)
	}
	if mistake := PodRunTime(pod).Mistake; mistake != "" {
		return mistake
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return ""
	}
	if _, err := ParseAlignment(pod.Annotations[AlignmentAnnotation], thePod); err != nil {
		return err.Error()
	}
	return ""
}

// MetadataMistake returns a sentence about the object that declares the gang: about an
// annotation with Dovetail's prefix that has no effect, or an invalid value for the run time. It
// returns "" if there is neither.
func (g *Gang) MetadataMistake() string {
	if g.Topology.Mistake == "" {
		return g.RunTime.Mistake
	}
	return keySentence("annotation", g.Topology.Mistake, g.Key.String())
}

func hasOwnKey(metadata map[string]string) bool {
	for key := range metadata {
		if strings.HasPrefix(key, AnnotationPrefix) {
			return true
		}
	}
	return false
}

// annotationMistake returns the key of the first annotation, by name, with Dovetail's prefix
// that has no effect, or "".
func annotationMistake(annotations map[string]string) string {
	return firstMistake(annotations, func(k knownKey) bool { return k.annotation })
}

// firstMistake returns the first key, by name, with Dovetail's prefix that is not valid as
// this kind of metadata (labels or annotations), or "".
func firstMistake(metadata map[string]string, valid func(knownKey) bool) string {
	first := ""
	for key := range metadata {
		if !strings.HasPrefix(key, AnnotationPrefix) || first != "" && key > first {
			continue
		}
		if known := knownKeyOf(key); known == nil || !valid(*known) {
			first = key
		}
	}
	return first
}

func knownKeyOf(key string) *knownKey {
	for i := range knownKeys {
		if knownKeys[i].key == key {
			return &knownKeys[i]
		}
	}
	return nil
}

// keySentence says that a key has no effect as this kind of metadata (a label or an
// annotation), and why.
func keySentence(kind, key, object string) string {
	other := map[string]string{"label": "an annotation", "annotation": "a label"}
	if knownKeyOf(key) != nil {
		return fmt.Sprintf("%s %s of %s has no effect: it must be %s", kind, key, object, other[kind])
	}
	sentence := fmt.Sprintf("%s %s of %s has no effect: the key is unknown", kind, key, object)
	if near := nearestKey(key); near != "" {
		sentence += ", perhaps " + near + " is meant"
	}
	return sentence
}

// nearestKey returns the known key with the fewest edits from this one, or "" if none is
// near.
func nearestKey(key string) string {
	best, least := "", min(maxTypos, (len(key)-len(AnnotationPrefix))/3)+1
	for _, known := range knownKeys {
		if n := edits(key, known.key); n < least {
			best, least = known.key, n
		}
	}
	return best
}

// edits returns how many bytes to insert, delete or replace to turn a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0] // of the row before, left of the present column
		row[0] = i + 1
		for j := range len(b) {
			cost := above
			if a[i] != b[j] {
				cost++
			}
			above = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
