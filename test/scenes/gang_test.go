// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package scenes

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// source is a way to declare a gang.
type source string

// The sources that scenes use.
const (
	byPodGroup source = "PodGroup"
	byLabel    source = "label"
	byJob      source = "Job"
)

// everySource is for gangs of one role: a Job has one.
var everySource = []source{byPodGroup, byLabel, byJob}

// twoSources is for gangs of several roles.
var twoSources = []source{byPodGroup, byLabel}

const (
	// gangName is the name of the gang of every scene.
	gangName = "train"
	// gangLabel is the label of its members, whatever the source.
	gangLabel = "gang"
	// ofGang selects the members.
	ofGang = gangLabel + "=" + gangName
	// roleLabel is the label of pods with the name of their role.
	roleLabel = "role"
)

// option changes a pod before it is created.
type option func(*stage, *corev1.Pod)

// role is some members of a gang that are made alike.
type role struct {
	name    string
	n       int
	options []option
}

func single(name string, options ...option) role { return many(name, 1, options...) }

func many(name string, n int, options ...option) role {
	return role{name: name, n: n, options: options}
}

// each returns n members, each with the options for its number.
func each(n int, options func(int) []option) []role {
	var roles []role
	for i := range n {
		roles = append(roles, single(fmt.Sprintf("member%d", i), options(i)...))
	}
	return roles
}

// declare creates the gang, and returns the number of its members.
func (s *stage) declare(by source, scene scene) int {
	s.Helper()
	n := 0
	for _, r := range scene.gang {
		n += r.n
	}
	switch by {
	case byJob:
		s.createJob(scene.gang[0], scene.job)
		return n
	case byPodGroup:
		s.Create(fmt.Sprintf("{apiVersion: scheduling.x-k8s.io/v1alpha1, kind: PodGroup, metadata: {name: %s}, spec: {minMember: %d}}", gangName, n))
	}
	for _, r := range scene.gang {
		for i := range r.n {
			s.createPod(s.member(by, n, r, fmt.Sprintf("%s-%d", r.name, i)))
		}
	}
	return n
}

// member returns a member of a gang of n by PodGroup or label.
func (s *stage) member(by source, n int, r role, name string) *corev1.Pod {
	pod := s.newMember(r, name)
	if by == byPodGroup {
		pod.Labels["scheduling.x-k8s.io/pod-group"] = gangName
	} else {
		pod.Labels["dovetail.dev/gang-name"] = gangName
		pod.Annotations = map[string]string{"dovetail.dev/gang-min": fmt.Sprint(n)}
	}
	return pod
}

// createJob creates a Job whose pods are the members of a role.
func (s *stage) createJob(r role, change func(*batchv1.JobSpec)) {
	s.Helper()
	pod := s.newMember(r, r.name)
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	parallel := int32(r.n)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: gangName, Annotations: map[string]string{"dovetail.dev/gang": "true"}}}
	job.Spec = batchv1.JobSpec{Parallelism: &parallel, Completions: &parallel}
	job.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
	if change != nil {
		change(&job.Spec)
	}
	if _, err := s.Client.BatchV1().Jobs(s.Namespace).Create(s.Context(), job, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating the Job: %v", err)
	}
}

func (s *stage) newMember(r role, name string) *corev1.Pod {
	pod := s.newPod(name, r.options...)
	pod.Labels[gangLabel], pod.Labels[roleLabel] = gangName, r.name
	return pod
}

// newPod returns a pod of one core for Dovetail.
func (s *stage) newPod(name string, options ...option) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	pod.Spec = corev1.PodSpec{
		SchedulerName:                 "dovetail",
		TerminationGracePeriodSeconds: new(int64),
		Containers:                    []corev1.Container{{Name: "main", Image: "work"}},
	}
	cpu(1)(s, pod)
	for _, option := range options {
		option(s, pod)
	}
	return pod
}

func (s *stage) createPod(pod *corev1.Pod) {
	s.Helper()
	if _, err := s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating pod %s: %v", pod.Name, err)
	}
}

// running creates a pod without a gang that has a node already.
func running(name string, node int, options ...option) step {
	return func(s *stage) {
		s.Helper()
		pod := s.newPod(name, options...)
		pod.Spec.NodeName = nodeName(node)
		s.createPod(pod)
	}
}

// cpu sets the request. A node has 96 cores, so it holds one member of more than 48.
func cpu(cores int) option {
	return func(_ *stage, p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(int64(cores), resource.DecimalSI)}
	}
}

func labelled(key, value string) option {
	return func(_ *stage, p *corev1.Pod) { p.Labels[key] = value }
}

// large is a member of nearly a node.
var large = cpu(80)

// port opens a TCP port on the node, on all its addresses.
func port(number int32) option { return portOf(number, corev1.ProtocolTCP, "") }

func portOf(number int32, protocol corev1.Protocol, address string) option {
	return func(_ *stage, p *corev1.Pod) {
		p.Spec.Containers[0].Ports = append(p.Spec.Containers[0].Ports, corev1.ContainerPort{
			ContainerPort: number, HostPort: number, Protocol: protocol, HostIP: address,
		})
	}
}

// gated adds a scheduling gate.
func gated(_ *stage, p *corev1.Pod) {
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/prepare"}}
}

// selecting adds a node selector.
func selecting(key, value string) option {
	return func(_ *stage, p *corev1.Pod) {
		if p.Spec.NodeSelector == nil {
			p.Spec.NodeSelector = map[string]string{}
		}
		p.Spec.NodeSelector[key] = value
	}
}

// hosts requires one of some nodes by node affinity.
func hosts(numbers ...int) option {
	var names []string
	for _, i := range numbers {
		names = append(names, nodeName(i))
	}
	return requiring(corev1.NodeSelectorRequirement{Key: host, Operator: corev1.NodeSelectorOpIn, Values: names})
}

// inARoom requires a node with a room.
var inARoom = requiring(corev1.NodeSelectorRequirement{Key: room, Operator: corev1.NodeSelectorOpExists})

func requiring(requirement corev1.NodeSelectorRequirement) option {
	return func(_ *stage, p *corev1.Pod) {
		a := affinityOf(p)
		if a.NodeAffinity == nil {
			a.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{}},
			}}
		}
		term := &a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0]
		term.MatchExpressions = append(term.MatchExpressions, requirement)
	}
}

func affinityOf(p *corev1.Pod) *corev1.Affinity {
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	return p.Spec.Affinity
}

// apart keeps a pod out of the domains of a key with a pod that has the label.
func apart(key, label, value string) option {
	return func(_ *stage, p *corev1.Pod) {
		a := affinityOf(p)
		if a.PodAntiAffinity == nil {
			a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		}
		terms := &a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		*terms = append(*terms, termOf(key, label, value))
	}
}

// near requires a pod with the label in the domain of a key.
func near(key, label, value string) option {
	return func(_ *stage, p *corev1.Pod) {
		a := affinityOf(p)
		if a.PodAffinity == nil {
			a.PodAffinity = &corev1.PodAffinity{}
		}
		terms := &a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		*terms = append(*terms, termOf(key, label, value))
	}
}

func termOf(key, label, value string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label: value}}}
}

// even spreads the pods of the gang over the domains of a key.
func even(key string, skew int32, changes ...func(*corev1.TopologySpreadConstraint)) option {
	return func(_ *stage, p *corev1.Pod) {
		constraint := corev1.TopologySpreadConstraint{
			MaxSkew: skew, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{gangLabel: gangName}},
		}
		for _, change := range changes {
			change(&constraint)
		}
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, constraint)
	}
}

// tolerant tolerates the taint of scenes.
func tolerant(_ *stage, p *corev1.Pod) {
	p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: taintKey, Operator: corev1.TolerationOpExists})
}
