// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// YuniKornSource is the Key.Source (the way of declaring, in a gang's key) of gangs declared
// by YuniKorn's annotations.
const YuniKornSource = "yunikorn"

// Labels and annotations in which a pod names its YuniKorn application and its task group.
const (
	yuniKornGroupAnnotation  = "yunikorn.apache.org/task-group-name"
	yuniKornGroupsAnnotation = "yunikorn.apache.org/task-groups"
	yuniKornAppLabel         = "applicationId"
	yuniKornAppLabelOwn      = "yunikorn.apache.org/app-id"
)

// taskGroup holds the fields read from one entry of the annotation task-groups. The other
// fields are resources and constraints that the pods carry themselves.
type taskGroup struct {
	Name      string `json:"name"`
	MinMember int32  `json:"minMember"`
}

// yuniKornSource is the Source (reader of gang declarations) that reads a gang from the
// annotations of its pods; no object declares the gang. Every pod names its task group, and
// at least one carries the list of all groups with their minimums. KubeRay writes the list
// on every pod, with minReplicas times numOfHosts for a worker group, and never updates it.
// The source uses the list of the youngest pod that has one.
type yuniKornSource struct{}

// NewYuniKornSource returns the source of gangs declared by YuniKorn's annotations.
func NewYuniKornSource() Source { return yuniKornSource{} }

// YuniKornKey returns the key of the gang of that application.
func YuniKornKey(namespace, application string) Key {
	return Key{Source: YuniKornSource, Namespace: namespace, Name: application}
}

func (yuniKornSource) Name() string { return YuniKornSource }

// Key names the gang of a Ray pod after its RayCluster, because the application is not
// unique: during an upgrade KubeRay copies that of a RayService to both the old and the new
// cluster. Another pod without an application is a gang of its own, so that Gang reports
// the missing label on this pod.
func (yuniKornSource) Key(pod *corev1.Pod) (Key, bool) {
	if pod.Annotations[yuniKornGroupAnnotation] == "" {
		return Key{}, false
	}
	if cluster, ok := rayClusterOf(pod); ok {
		return YuniKornKey(pod.Namespace, cluster), true
	}
	return YuniKornKey(pod.Namespace, cmp.Or(yuniKornApplication(pod), pod.Name)), true
}

func yuniKornApplication(pod *corev1.Pod) string {
	return cmp.Or(pod.Labels[yuniKornAppLabelOwn], pod.Labels[yuniKornAppLabel], pod.Annotations[yuniKornAppLabelOwn])
}

func (yuniKornSource) Role(pod *corev1.Pod) string { return pod.Annotations[yuniKornGroupAnnotation] }

func (yuniKornSource) Rank(pod *corev1.Pod) Rank { return groupRank(pod) }

func (s yuniKornSource) Gang(key Key, members []Member) (Gang, error) {
	g := podsGang(key, members)
	declared := youngestWith(g, members, yuniKornGroupsAnnotation)
	for _, m := range members {
		if _, ray := rayClusterOf(m.Pod); !ray && yuniKornApplication(m.Pod) == "" {
			g.Problem = fmt.Sprintf("pod %s of %s has annotation %s, but no label %s that names its application",
				m.Pod.Name, key, yuniKornGroupAnnotation, yuniKornAppLabel)
			return g, nil
		}
	}
	if declared == nil {
		g.Problem = fmt.Sprintf("no pod of %s has annotation %s, which says how many belong to it", key, yuniKornGroupsAnnotation)
		return g, nil
	}
	groups, problem := readTaskGroups(key, declared)
	if problem != "" {
		g.Problem = problem
		return g, nil
	}
	for _, group := range groups {
		if group.Name == raySubmitterGroup {
			continue // the pod that submits a RayJob is not a member
		}
		g.Roles = append(g.Roles, Role{Name: group.Name, Min: int(group.MinMember), Want: int(group.MinMember)})
		g.Min += int(group.MinMember)
	}
	slices.SortFunc(g.Roles, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	wantWhatIsThere(g, members)
	return g, nil
}

// readTaskGroups returns the task groups in the pod's annotation, or a sentence about the
// first error in it.
func readTaskGroups(key Key, pod *corev1.Pod) ([]taskGroup, string) {
	wrong := func(format string, args ...any) string {
		return fmt.Sprintf("annotation %s of pod %s of %s ", yuniKornGroupsAnnotation, pod.Name, key) + fmt.Sprintf(format, args...)
	}
	var groups []taskGroup
	if err := json.Unmarshal([]byte(pod.Annotations[yuniKornGroupsAnnotation]), &groups); err != nil {
		return nil, wrong("is not a list of task groups: %v", err)
	}
	seen := map[string]bool{}
	for i, group := range groups {
		switch {
		case group.Name == "":
			return nil, wrong("has no name in [%d]", i)
		case seen[group.Name]:
			return nil, wrong("names %s twice", group.Name)
		case group.MinMember < 0:
			return nil, wrong("has minMember %d in [%d], but it must be at least 0", group.MinMember, i)
		}
		seen[group.Name] = true
	}
	return groups, ""
}
