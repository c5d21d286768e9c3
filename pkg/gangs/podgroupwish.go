// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs

import (
	"fmt"
	"strings"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const podGroupRequested = "true"

// PodGroupWish is the request of a RayCluster or JobSet for a PodGroup of
// scheduling.k8s.io.
type PodGroupWish struct {
	// Asked reports that the object requests a PodGroup, by MakePodGroupLabel on its pod
	// templates. Its pods will name the group.
	Asked bool
	// Resting reports that no pods are to be expected for now: the object is suspended,
	// has ended or is being deleted. This is no error.
	Resting bool
	// PriorityClass is the priorityClassName of all pods. The scheduler rejects a group
	// whose priority differs from that of its pods.
	PriorityClass string
	// Problem is one sentence with the reason why there can be no group.
	Problem string
}

// maxOwnerName is the longest part of an object's name in the name of its PodGroup, in
// bytes. It leaves room for a dash and a UID in a name of 253 characters.
const maxOwnerName = 253 - 1 - 36

// PodGroupName returns the name of the PodGroup made for the object with that name and UID.
// The UID makes the name unique: an object of another kind may have the same name, and the
// group of an earlier object may still be terminating. The owner's name in front is for
// readers. The admission policies in manifests/native-groups, which put the name on the
// pods, compute the same one.
func PodGroupName(owner string, uid types.UID) string {
	owner = strings.ReplaceAll(owner, ".", "-")
	return owner[:min(len(owner), maxOwnerName)] + "-" + string(uid)
}

// RayClusterPodGroup returns the request of a RayCluster for a PodGroup. It reads the
// cluster's metadata and spec.suspend, and the pod labels, priorityClassName and
// schedulerName of the head and each worker group.
func RayClusterPodGroup(cluster *rayv1.RayCluster) PodGroupWish {
	head := &cluster.Spec.HeadGroupSpec
	templates := []podGroupTemplate{templateOf("the head", &head.Template, head.Labels)}
	for i := range cluster.Spec.WorkerGroupSpecs {
		group := &cluster.Spec.WorkerGroupSpecs[i]
		templates = append(templates, templateOf("worker group "+group.GroupName, &group.Template, group.Labels))
	}
	wish := mergeTemplates(RayClusterKey(cluster.Namespace, cluster.Name), templates)
	wish.Resting = cluster.DeletionTimestamp != nil || isTrue(cluster.Spec.Suspend)
	return wish
}

// JobSetPodGroup returns the request of a JobSet for a PodGroup. It reads the metadata,
// spec.suspend and conditions of the JobSet, and the labels, priorityClassName and
// schedulerName of each replicatedJob's pods. Two kinds of pods are never put into the
// group: pods that only fetch data for the training, and pods with exclusive placement (a
// topology domain for each Job), which wait for one another in a way that a PodGroup cannot
// express.
func JobSetPodGroup(set *JobSet) PodGroupWish {
	var templates []podGroupTemplate
	for i := range set.Spec.ReplicatedJobs {
		job := &set.Spec.ReplicatedJobs[i]
		template := &job.Template.Spec.Template
		if initialises(job.Name, template.Labels) || set.Exclusive || AsksForExclusivePlacement(job.Template.Annotations) {
			continue
		}
		templates = append(templates, templateOf("replicatedJob "+job.Name, template, nil))
	}
	wish := mergeTemplates(JobSetKey(set.Namespace, set.Name), templates)
	wish.Resting = set.DeletionTimestamp != nil || isTrue(set.Spec.Suspend) || set.ended() != ""
	return wish
}

// podGroupTemplate holds the fields read from one pod template. of names the template in
// messages.
type podGroupTemplate struct {
	of                       string
	asks                     bool
	priorityClass, scheduler string
}

// templateOf reads a pod template. more has the labels of a Ray group, which KubeRay lets
// override those of the template.
func templateOf(of string, template *corev1.PodTemplateSpec, more map[string]string) podGroupTemplate {
	label, ok := more[MakePodGroupLabel]
	if !ok {
		label = template.Labels[MakePodGroupLabel]
	}
	return podGroupTemplate{
		of: of, asks: label == podGroupRequested,
		priorityClass: template.Spec.PriorityClassName, scheduler: template.Spec.SchedulerName,
	}
}

// mergeTemplates makes the request of an object from its pod templates. Fields that must be
// the same in all pods of a PodGroup must be the same in all templates; a difference is a
// Problem.
func mergeTemplates(key Key, templates []podGroupTemplate) PodGroupWish {
	var asking, silent *podGroupTemplate
	for i := range templates {
		if t := &templates[i]; t.asks && asking == nil {
			asking = t
		} else if !t.asks && silent == nil {
			silent = t
		}
	}
	if asking == nil {
		return PodGroupWish{}
	}
	wish := PodGroupWish{Asked: true, PriorityClass: asking.priorityClass}
	if silent != nil {
		wish.Problem = fmt.Sprintf("label %s=%s must stand on all pod templates of %s or on none: it does on that of %s, and not on that of %s",
			MakePodGroupLabel, podGroupRequested, key, asking.of, silent.of)
		return wish
	}
	for i := range templates {
		t := &templates[i]
		switch {
		case t.priorityClass != asking.priorityClass:
			wish.Problem = templatesDiffer(key, "priorityClassName", asking.saying(asking.priorityClass), t.saying(t.priorityClass))
			return wish
		case t.scheduler != asking.scheduler:
			wish.Problem = templatesDiffer(key, "schedulerName", asking.saying(asking.scheduler), t.saying(t.scheduler))
			return wish
		}
	}
	return wish
}

// saying returns a field's value with the name of its template, for a message.
func (t *podGroupTemplate) saying(value string) string {
	return fmt.Sprintf("%q in that of %s", value, t.of)
}

func templatesDiffer(key Key, field, a, b string) string {
	return fmt.Sprintf("pod templates of %s differ in spec.%s, which must be the same in all pods of a PodGroup: %s, %s",
		key, field, a, b)
}
