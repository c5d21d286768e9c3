// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// affinityTerms has gangs whose members want to be near and apart from 250 other kinds of pods.
func affinityTerms(a *attacker) {
	var near, apart []corev1.WeightedPodAffinityTerm
	for i := range 250 {
		term := corev1.PodAffinityTerm{
			TopologyKey:       []string{corev1.LabelHostname, corev1.LabelTopologyZone}[i%2],
			LabelSelector:     &metav1.LabelSelector{MatchLabels: map[string]string{"kind": fmt.Sprint(i)}},
			NamespaceSelector: &metav1.LabelSelector{},
		}
		near = append(near, corev1.WeightedPodAffinityTerm{Weight: 1, PodAffinityTerm: term})
		apart = append(apart, corev1.WeightedPodAffinityTerm{Weight: 1, PodAffinityTerm: term})
	}
	required := near[0].PodAffinityTerm
	a.pods(a.size/5, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/10), 10), func(pod *corev1.Pod) {
			pod.Labels["kind"] = fmt.Sprint(i % 250)
			pod.Spec.Affinity = &corev1.Affinity{
				PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: near},
				PodAntiAffinity: &corev1.PodAntiAffinity{
					PreferredDuringSchedulingIgnoredDuringExecution: apart,
					RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{required},
				},
			}
		})
	})
}

// unknownSpread has gangs with spread constraints over labels that no node has.
func unknownSpread(a *attacker) {
	a.pods(a.size, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/10), 10), func(pod *corev1.Pod) {
			for c := range 10 {
				pod.Spec.TopologySpreadConstraints = append(pod.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
					MaxSkew: 1, TopologyKey: fmt.Sprintf("example.com/key-%d-%d", i, c), WhenUnsatisfiable: corev1.DoNotSchedule,
					LabelSelector: &metav1.LabelSelector{MatchLabels: pod.Labels},
				})
			}
		})
	})
}

// unmatchedSelectors has gangs with node selectors and node affinity that no node matches, each
// with others.
func unmatchedSelectors(a *attacker) {
	a.pods(a.many/2, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/4), 4), func(pod *corev1.Pod) {
			pod.Spec.NodeSelector = map[string]string{fmt.Sprintf("example.com/key-%d", i): "x"}
		})
	})
}

// differentResources has gangs that request a resource which no node has, each pod another.
func differentResources(a *attacker) {
	a.pods(a.many, func(i int) *corev1.Pod {
		name := corev1.ResourceName(fmt.Sprintf("example.com/resource-%d", i))
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/4), 4), requesting(name, "1"))
	})
}

// differentShapes has gangs in which no pod requests as much as another.
func differentShapes(a *attacker) {
	a.pods(a.many, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/4), 4),
			requesting(corev1.ResourceCPU, fmt.Sprintf("%dm", i+1)), requesting(corev1.ResourceMemory, fmt.Sprintf("%dKi", i+1)))
	})
}

// hostPorts has gangs whose pods have 100 host ports, of which some collide.
func hostPorts(a *attacker) {
	a.pods(a.size/2, func(i int) *corev1.Pod {
		return a.pod(fmt.Sprintf("p%d", i), inGang(fmt.Sprintf("g%d", i/10), 10), func(pod *corev1.Pod) {
			for p := range 100 {
				port := int32(20000 + (i*37+p*11)%20000)
				pod.Spec.Containers[0].Ports = append(pod.Spec.Containers[0].Ports, corev1.ContainerPort{ContainerPort: port, HostPort: port})
			}
		})
	})
}

// unprovisionedVolumes has gangs with volumes of a class that nobody provisions. Their bindings
// wait for the volumes for minutes.
func unprovisionedVolumes(a *attacker) {
	a.each(a.size/2, func(i int) error {
		name := fmt.Sprintf("p%d", i)
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
		claim.Spec.StorageClassName = ptr.To(idleClass)
		claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		if _, err := a.client.CoreV1().PersistentVolumeClaims(a.namespace).Create(a.ctx, claim, metav1.CreateOptions{}); err != nil {
			return err
		}
		return a.create(a.pod(name, inGang(fmt.Sprintf("g%d", i/4), 4), func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
			}}}
		}))
	})
}
