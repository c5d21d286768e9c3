// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// onPort puts a pod on the host network, with a port.
func onPort(port int32) podOption {
	return func(p *corev1.Pod) {
		p.Spec.HostNetwork = true
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: port}}
	}
}

// apartBy keeps a pod out of the domains of a key that have a pod of the group.
func apartBy(key, group string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{groupLabel: group}},
			}},
		}}
	}
}

func selecting(key, value string) podOption {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

func mounting(claim string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
}

// headAndWorkers returns a small pod and pods of nearly a node each, in one gang.
func (e *env) headAndWorkers(group string, workers int, options ...podOption) []*corev1.Pod {
	e.Helper()
	e.podGroup(group, int64(workers)+1, nil)
	pods := members(group, workers+1, append(options, asking("80", "1Gi"))...)
	asking("8", "1Gi")(pods[0])
	return pods
}

// onNodes waits until n pods of a group run, and checks that they are in so many domains
// of a key.
func (e *env) onNodes(group string, n int, key string, domains int) {
	e.Helper()
	e.Whole(groupLabel+"="+group, n)
	if got := e.Domains(groupLabel+"="+group, key); len(got) != domains {
		e.Errorf("gang %s is in %v, want %d values of %s", group, got, domains, key)
	}
}

// By counts the head would fit beside a worker. Only the host port forbids it.
func TestHostPortsKeepMembersApart(t *testing.T) {
	e := onGPUs(t)
	e.createPods(e.headAndWorkers("ports", 4, onPort(9000))...)
	e.onNodes("ports", 5, corev1.LabelHostname, 5)
	e.createPods(e.headAndWorkers("others", 5, onPort(9000))...)
	e.onNodes("others", 6, corev1.LabelHostname, 6)
	e.createPods(e.headAndWorkers("again", 5, onPort(9000))...)
	e.Refused(groupLabel+"=again", 6, "gang podgroup "+e.Namespace+"/again: 5 of 6 members fit the fabric")
}

func TestAntiAffinityKeepsMembersApart(t *testing.T) {
	e := onGPUs(t)
	e.createPods(e.headAndWorkers("apart", 4, apartBy(corev1.LabelHostname, "apart"))...)
	e.onNodes("apart", 5, corev1.LabelHostname, 5)

	e.podGroup("leaves", 4, nil)
	e.createPods(members("leaves", 4, apartBy(fleet.LabelLeaf, "leaves"))...)
	e.onNodes("leaves", 4, fleet.LabelLeaf, 4)

	e.podGroup("many", 5, nil)
	e.createPods(members("many", 5, apartBy(fleet.LabelLeaf, "many"))...)
	e.Refused(groupLabel+"=many", 5, "4 of 5 members fit the fabric")
	if said := e.Pods(groupLabel + "=many")[0]; containsSentence(&said, "would fit with") {
		t.Errorf("a fifth node in the four leaves would not help: %s", harness.Unschedulable(&said))
	}
}

// A controller may give each member of a role a node selector of its own.
func TestMembersSelectNodes(t *testing.T) {
	e := onGPUs(t)
	nodes := e.nodeNames(4)
	e.podGroup("chosen", 4, nil)
	pods := members("chosen", 4, asking("80", "1Gi"))
	for i := range pods {
		selecting(corev1.LabelHostname, nodes[3-i])(pods[i])
	}
	e.createPods(pods...)
	e.Whole(groupLabel+"=chosen", 4)
	for _, pod := range e.Pods(groupLabel + "=chosen") {
		if want := pod.Spec.NodeSelector[corev1.LabelHostname]; pod.Spec.NodeName != want {
			t.Errorf("pod %s is on %s, want %s", pod.Name, pod.Spec.NodeName, want)
		}
	}
}

// nodeNames returns the names of so many nodes, every second one.
func (e *env) nodeNames(n int) []string {
	e.Helper()
	list, err := e.Client.CoreV1().Nodes().List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing nodes: %v", err)
	}
	var names []string
	for i := 0; len(names) < n; i += 2 {
		names = append(names, list.Items[i].Name)
	}
	return names
}

// Local volumes decide where members run: those that are bound, and those that a claim
// gets once its pod has a node.
func TestMembersGoWhereTheirVolumesAre(t *testing.T) {
	e := onGPUs(t)
	class := e.localClass()
	nodes := e.nodeNames(6)
	e.podGroup("bound", 3, nil)
	e.podGroup("waiting", 3, nil)
	bound, waiting := members("bound", 3, asking("40", "1Gi")), members("waiting", 3)
	for i := range 3 {
		claim := fmt.Sprintf("bound-%d", i)
		e.localVolume(class, nodes[i], claim)
		e.volumeClaim(class, claim, e.Namespace+"-"+nodes[i])
		mounting(claim)(bound[i])
		e.localVolume(class, nodes[3+i], "")
		e.volumeClaim(class, fmt.Sprintf("waiting-%d", i), "")
		mounting(fmt.Sprintf("waiting-%d", i))(waiting[i])
	}
	e.createPods(bound...)
	e.Whole(groupLabel+"=bound", 3)
	for _, pod := range e.Pods(groupLabel + "=bound") {
		if want := nodes[pod.Name[len(pod.Name)-1]-'0']; pod.Spec.NodeName != want {
			t.Errorf("pod %s is on %s, and its volume on %s", pod.Name, pod.Spec.NodeName, want)
		}
	}
	e.createPods(waiting...)
	e.onNodes("waiting", 3, corev1.LabelHostname, 3)
}

// localClass creates a storage class for volumes that an administrator creates.
func (e *env) localClass() string {
	e.Helper()
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: e.Namespace}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &mode,
	}
	if _, err := e.Client.StorageV1().StorageClasses().Create(e.Context(), class, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating a storage class: %v", err)
	}
	e.Cleanup(func() {
		if err := e.Client.StorageV1().StorageClasses().Delete(context.Background(), class.Name, metav1.DeleteOptions{}); err != nil {
			e.Errorf("deleting the storage class: %v", err)
		}
	})
	return class.Name
}

// localVolume creates a volume of a node, for a claim if that is not "".
func (e *env) localVolume(class, node, claim string) {
	e.Helper()
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: e.Namespace + "-" + node}}
	v.Spec.StorageClassName = class
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	v.Spec.Local = &corev1.LocalVolumeSource{Path: "/data"}
	v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
	}}}}
	if claim != "" {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: e.Namespace, Name: claim}
	}
	if _, err := e.Client.CoreV1().PersistentVolumes().Create(e.Context(), v, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating a volume: %v", err)
	}
	e.Cleanup(func() {
		err := e.Client.CoreV1().PersistentVolumes().Delete(context.Background(), v.Name, metav1.DeleteOptions{})
		if err != nil && !strings.Contains(err.Error(), "not found") {
			e.Errorf("deleting volume %s: %v", v.Name, err)
		}
	})
}

// volumeClaim creates a claim, for a volume if that is not "".
func (e *env) volumeClaim(class, name, volume string) {
	e.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	claim.Spec.StorageClassName, claim.Spec.VolumeName = &class, volume
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if _, err := e.Client.CoreV1().PersistentVolumeClaims(e.Namespace).Create(e.Context(), claim, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim %s: %v", name, err)
	}
}
