// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package podgroups

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// Everything but Dovetail is as in an older version: there are no PodGroups of its
// own, and no DeviceTaintRules that a scheduler of 1.37 waits for. Dovetail starts
// without a word about either, places gangs, and logs no error. The kinds of gangs
// that exist there are all tried by GANGS_EMULATE=1.36 go test ./test/gangs.
func TestOlderServers(t *testing.T) {
	if os.Getenv(matrixEnv) == "" {
		t.Skipf("starts 2 clusters; %s=1 or make test-native runs it", matrixEnv)
	}
	spec, err := fleet.Parse("shape=ndh100v5,spines=1,leaves=2,nodes=4")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.36", "1.35"} {
		t.Run(version, func(t *testing.T) {
			emulate := []string{"--emulated-version=" + version}
			e := inCluster(t, harness.Start(t, localcluster.Options{
				Fleets: []fleet.Spec{spec}, Without: []string{localcluster.KubeRay},
				Args: map[string][]string{localcluster.APIServer: emulate, localcluster.ControllerManager: emulate, localcluster.Scheduler: emulate},
			}))
			e.serves("resource.k8s.io/v1", "devicetaintrules", false)
			e.gates(map[string]bool{"DRADeviceTaintRules": false, "GenericWorkload": false})
			e.labelled()
			e.inPodGroup()
			e.withDevices()
			e.noErrors()
		})
	}
}

// serves fails the test if it is not as it says with a resource of the API server.
func (e *env) serves(version, resource string, want bool) {
	e.Helper()
	list, err := e.Client.Discovery().ServerResourcesForGroupVersion(version)
	if err != nil {
		e.Fatalf("asking for %s: %v", version, err)
	}
	got := false
	for _, served := range list.APIResources {
		got = got || served.Name == resource
	}
	if got != want {
		e.Fatalf("the API server serves %s of %s: %v, want %v", resource, version, got, want)
	}
}

// inPodGroup is a gang of a PodGroup of scheduler-plugins.
func (e *env) inPodGroup() {
	e.Helper()
	e.Create("{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: plugins}, spec: {minMember: 3}}")
	e.members("plugins", 0, 3, small, func(pod *corev1.Pod) {
		pod.Spec.SchedulingGroup = nil
		pod.Labels["scheduling.x-k8s.io/pod-group"] = "plugins"
	})
	e.Whole(of("plugins"), 3)
}

// withDevices is a gang whose members ask for two GPUs each, by a template.
func (e *env) withDevices() {
	e.Helper()
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: "gpus"}}
	template.Spec.Spec.Devices.Requests = []resourceapi.DeviceRequest{{
		Name: "gpus", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: fleet.ClassGPU, Count: 2},
	}}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating a claim template: %v", err)
	}
	e.members("devices", 0, 6, small, func(pod *corev1.Pod) {
		pod.Spec.SchedulingGroup = nil
		pod.Labels["dovetail.dev/gang-name"] = "devices"
		pod.Annotations = map[string]string{"dovetail.dev/gang-min": "6", "dovetail.dev/topology-required": "leaf"}
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpus", ResourceClaimTemplateName: &template.Name}}
		pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpus"}}
	})
	e.Whole(of("devices"), 6)
	if got := e.Domains(of("devices"), fleet.LabelLeaf); len(got) != 1 {
		e.Errorf("the gang stands in %v, want one leaf", got)
	}
}
