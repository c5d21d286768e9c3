// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// gang returns the objects of the i-th gang, as YAML documents. Every kind of gang leaves
// another kind of name behind: of a label, a Job, a RayCluster, a claim's selector, a
// resource, a topology label or a missing PodGroup.
func gang(i int) []string {
	name := fmt.Sprintf("g%d", i)
	switch i % 8 {
	case 0:
		return labelGang(name, 4, "", "cpu: 4")
	case 1:
		return []string{fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: %[1]s}
spec:
  parallelism: 3
  completions: 3
  template:
    metadata: {labels: {dovetail.dev/gang: "true", soak: %[1]s}}
    spec: {schedulerName: dovetail, restartPolicy: Never, containers: [{name: c, image: none, resources: {requests: {cpu: 2}}}]}
`, name)}
	case 2:
		return []string{fmt.Sprintf(`
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: %[1]s}
spec:
  headGroupSpec:
    rayStartParams: {}
    template: &template
      metadata: {labels: {soak: %[1]s}}
      spec: {schedulerName: dovetail, containers: [{name: ray, image: none, resources: {requests: {cpu: 2}}}]}
  workerGroupSpecs: [{groupName: w, replicas: 2, minReplicas: 2, maxReplicas: 2, rayStartParams: {}, template: *template}]
`, name)}
	case 3:
		return deviceGang(name, fleet.ClassGPU, "", 2)
	case 4: // every claim divides the devices anew
		return deviceGang(name, fleet.ClassGPU, fmt.Sprintf("device.driver != 'junk-%d'", i), 1)
	case 5: // never placed: no node has the resource
		return labelGang(name, 2, "", fmt.Sprintf("cpu: 1, example.com/junk-%d: 1", i))
	case 6: // never placed: no node has the label
		return labelGang(name, 2, fmt.Sprintf("dovetail.dev/topology-required: example.com/junk-%d", i), "cpu: 1")
	}
	return []string{member(name, 0, podYAML{label: fmt.Sprintf("scheduling.x-k8s.io/pod-group: missing-%d", i), requests: "cpu: 1"})}
}

// labelGang returns the pods of a gang that its pods declare.
func labelGang(name string, members int, annotation, requests string) []string {
	var documents []string
	for i := range members {
		documents = append(documents, member(name, i, podYAML{
			label: "dovetail.dev/gang-name: " + name, requests: requests,
			annotations: fmt.Sprintf("dovetail.dev/gang-min: %q, %s", fmt.Sprint(members), annotation),
		}))
	}
	return documents
}

// deviceGang returns two pods with devices of a class for which a selector holds.
func deviceGang(name, class, selector string, count int) []string {
	selectors := ""
	if selector != "" {
		selectors = fmt.Sprintf(", selectors: [{cel: {expression: %q}}]", selector)
	}
	documents := []string{fmt.Sprintf(`
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: %[1]s, labels: {soak: %[1]s}}
spec: {spec: {devices: {requests: [{name: d, exactly: {deviceClassName: %[2]s, count: %[3]d%[4]s}}]}}}
`, name, class, count, selectors)}
	for i := range 2 {
		documents = append(documents, member(name, i, podYAML{
			label: "dovetail.dev/gang-name: " + name, annotations: `dovetail.dev/gang-min: "2"`, requests: "cpu: 1",
			claims: fmt.Sprintf("resourceClaims: [{name: d, resourceClaimTemplateName: %s}], ", name),
		}))
	}
	return documents
}

// podYAML has parts of a pod's YAML, as the contents of flow mappings.
type podYAML struct{ label, annotations, requests, claims string }

func member(name string, i int, pod podYAML) string {
	uses := ""
	if pod.claims != "" {
		uses = ", claims: [{name: d}]"
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s-%[2]d, labels: {soak: %[1]s, %[3]s}, annotations: {%[4]s}}
spec: {schedulerName: dovetail, %[6]scontainers: [{name: c, image: none, resources: {limits: {%[5]s}%[7]s}}]}
`, name, i, pod.label, pod.annotations, pod.requests, pod.claims, uses)
}

// remove deletes the objects of a gang.
func remove(e *harness.Env, documents []string) {
	e.Helper()
	background := metav1.DeletePropagationBackground
	for _, document := range documents {
		u := harness.Decode(e.T, document)
		resource := harness.ResourceOf(u)
		if err := e.Of(resource).Delete(e.Context(), u.GetName(), metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
			e.Logf("deleting %s %s: %v", schema.GroupResource{Group: resource.Group, Resource: resource.Resource}, u.GetName(), err)
		}
	}
}
