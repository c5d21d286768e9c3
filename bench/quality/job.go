// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	namespace = "ml"
	// profileName is the scheduler name of all pods.
	profileName = "dovetail"
)

// epoch is the start of simulated time.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// cpuOfGPU and memoryOfGPU are a pod's requests for each GPU. They are a little less than
// an eighth of an ND H100 v5 node, so devices run out first.
const (
	cpuOfGPU    = 11_000
	memoryOfGPU = 200 << 30
)

// shape is the device request of each pod of a job.
type shape struct{ gpus, nics int }

func (s shape) cpu() int64    { return cpuOfGPU * int64(s.gpus) }
func (s shape) memory() int64 { return memoryOfGPU * int64(s.gpus) }

// job is a set of pods that run together for a fixed duration.
type job struct {
	id       int
	pods     int
	shape    shape
	arrives  time.Duration
	duration time.Duration
	// limit is the declared time limit, 0 for none.
	limit time.Duration
}

func (j *job) gpus() int { return j.pods * j.shape.gpus }

// work returns the job's GPU seconds.
func (j *job) work() float64 { return float64(j.gpus()) * j.duration.Seconds() }

// kind is equal for jobs that have the same number and shape of pods.
type kind struct {
	pods  int
	shape shape
}

func (j *job) kind() kind { return kind{j.pods, j.shape} }

// pod is one member of a job.
type pod struct {
	shape  shape
	object *v1.Pod
	claim  *resourceapi.ResourceClaim
	// machine is the pod's node, or nil before the pod is bound. devices are the pod's
	// devices on that node.
	machine *machine
	devices []string
}

// newPods returns the pods of a job, with their claims. The pods are a gang by Dovetail's
// label.
func newPods(j *job) []*pod {
	pods := make([]*pod, j.pods)
	for i := range pods {
		name := fmt.Sprintf("job-%05d-%03d", j.id, i)
		claim := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("claim " + name)}}
		claim.Spec.Devices.Requests = []resourceapi.DeviceRequest{deviceRequest("gpu", fleet.ClassGPU, j.shape.gpus)}
		if j.shape.nics > 0 {
			claim.Spec.Devices.Requests = append(claim.Spec.Devices.Requests, deviceRequest("nic", fleet.ClassRDMA, j.shape.nics))
		}
		object := &v1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("pod " + name), CreationTimestamp: metav1.NewTime(epoch.Add(j.arrives)),
			Labels:      map[string]string{gangs.GangNameLabel: fmt.Sprintf("job-%05d", j.id)},
			Annotations: map[string]string{gangs.GangMinAnnotation: strconv.Itoa(j.pods)},
		}}
		if j.limit > 0 {
			object.Annotations[gangs.TimeLimitAnnotation] = j.limit.String()
		}
		object.Spec.SchedulerName = profileName
		object.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "devices", ResourceClaimName: &name}}
		object.Spec.Containers = []v1.Container{{Name: "main", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
			v1.ResourceCPU:    *resource.NewMilliQuantity(j.shape.cpu(), resource.DecimalSI),
			v1.ResourceMemory: *resource.NewQuantity(j.shape.memory(), resource.BinarySI),
		}}}}
		pods[i] = &pod{shape: j.shape, object: object, claim: claim}
	}
	return pods
}

func deviceRequest(name, class string, count int) resourceapi.DeviceRequest {
	return resourceapi.DeviceRequest{Name: name, Exactly: &resourceapi.ExactDeviceRequest{
		DeviceClassName: class, AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: int64(count),
	}}
}
