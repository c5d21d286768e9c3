// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// reason is a situation in which gang ml/train has to wait.
type reason struct {
	title string
	// before makes the objects that the scheduler finds, after is what happens then.
	before, after func(*scene)
	// countless reports that there is nothing to count.
	countless bool
	// single reports that the pods are in no gang.
	single bool
}

const (
	required  = gangs.RequiredAnnotation
	preferred = gangs.PreferredAnnotation
	alignment = gangs.AlignmentAnnotation
	// plain is 2 leaves of 4 nodes with 32 CPUs each, gpus the same with 8 GPUs and 8
	// NICs on each node.
	plain = "shape=plain,spines=1,leaves=2,nodes=4"
	gpus  = "shape=ndh100v5,spines=1,leaves=2,nodes=4"
)

var reasons = slices.Concat(declarationReasons, roomReasons, deviceReasons, lifeReasons, shortReasons, filterReasons, mistakeReasons, metadataReasons, restReasons)

// declarationReasons are about members that are not there, and about what is
// written wrong.
var declarationReasons = []reason{
	{title: "Members of a PodGroup do not exist yet", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 5)
		s.pods("train", 3, inGroup("train"))
	}},
	{title: "Members of a RayCluster do not exist yet, by role", before: func(s *scene) {
		s.nodes(plain)
		s.rayCluster(workers("big", 4, 1), workers("small", 2, 1))
		s.pod("train-head", ray("headgroup"))
		s.pods("train-big", 1, ray("big"))
		s.pods("train-small", 2, ray("small"))
	}},
	{title: "The annotation on the pods asks for more pods than there are", before: func(s *scene) {
		s.nodes(plain)
		s.pods("train", 3, label(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "5"))
	}},
	{title: "Members are held by a scheduling gate", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 3)
		s.pods("train-ready", 1, inGroup("train"))
		s.pods("train-gated", 2, inGroup("train"), gated("kueue.x-k8s.io/admission"))
	}},
	{title: "Members' claims are not made yet", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 3)
		s.template("eight-gpus")
		s.pods("train", 3, inGroup("train"), fromTemplate("eight-gpus"))
	}},
	{title: "The PodGroup does not exist", countless: true, before: func(s *scene) {
		s.nodes(plain)
		s.pods("train", 3, inGroup("train"))
	}},
	{title: "The kind that would declare the gang is not installed", before: func(s *scene) {
		s.nodes(plain)
		key := gangs.JobSetKey(namespace, "train")
		s.declared.objects[key] = &gangs.LookupError{Key: key, Reason: gangs.ErrNotInstalled, Detail: "jobset.x-k8s.io/v1alpha2"}
		s.pods("train", 2, label("jobset.sigs.k8s.io/jobset-name", "train"))
	}},
	{title: "A field of the declaration is out of its range", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 0)
		s.pods("train", 3, inGroup("train"))
	}},
	{title: "An annotation holds no number", before: func(s *scene) {
		s.nodes(plain)
		s.pods("train", 3, label(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "all"))
	}},
	{title: "The pods disagree about the minimum", before: func(s *scene) {
		s.nodes(plain)
		s.pods("train-a", 1, label(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "2"))
		s.pods("train-b", 1, label(gangs.GangNameLabel, "train"), annotation(gangs.GangMinAnnotation, "3"))
	}},
	{title: "The gang is suspended", countless: true, before: func(s *scene) {
		s.nodes(plain)
		s.rayCluster(workers("big", 2, 1)).Spec.Suspend = new(true)
		s.pod("train-head", ray("headgroup"))
		s.pods("train-big", 2, ray("big"))
	}},
	{title: "Pods of another scheduler are in the gang", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 4)
		s.pods("train-a", 3, inGroup("train"))
		s.pods("train-b", 1, inGroup("train"), by("default-scheduler"))
	}},
	{title: "Members differ in priority", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 3)
		s.pods("train-a", 2, inGroup("train"))
		s.pods("train-b", 1, inGroup("train"), priority(1000))
	}},
	{title: "The wish names no level of this fabric", countless: true, before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 3, required, "rack")
		s.pods("train", 3, inGroup("train"))
	}},
	{title: "Members wish for different levels", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train-a", 1, inGroup("train"), annotation(required, "leaf"))
		s.pods("train-b", 1, inGroup("train"), annotation(required, "spine"))
	}},
}

// roomReasons are about domains that are too small.
var roomReasons = []reason{
	{title: "The required level is too small", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 6, required, "leaf")
		s.pods("train", 6, inGroup("train"), cpu("20"))
		for i := range 2 {
			s.pod(fmt.Sprintf("other-%d", i), cpu("20"), runsOn(s.node(i).Name), by("default-scheduler"))
		}
	}},
	{title: "No room for what the members ask for", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 10)
		s.pods("train", 10, inGroup("train"), cpu("20"))
	}},
	{title: "No node is large enough", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"), cpu("64"))
	}},
	{title: "A role of several is short", before: func(s *scene) {
		s.nodes(plain)
		s.rayCluster(workers("big", 9, 1), workers("small", 4, 1))
		s.pod("train-head", ray("headgroup"))
		s.pods("train-big", 9, ray("big"), cpu("20"))
		s.pods("train-small", 4, ray("small"), cpu("8"))
	}},
	{title: "Nodes are cordoned, tainted, or not selected", before: func(s *scene) {
		s.nodes(plain)
		s.node(0).Spec.Unschedulable = true
		for i := 1; i < 3; i++ {
			s.node(i).Spec.Taints = []v1.Taint{{Key: "nvidia.com/gpu", Effect: v1.TaintEffectNoSchedule}}
		}
		for i := 3; i < 8; i++ {
			s.node(i).Labels["pool"] = "train"
		}
		s.node(7).Labels["pool"] = "serve"
		s.group("train", 6)
		s.pods("train", 6, inGroup("train"), cpu("20"), func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{
					{Key: "pool", Operator: v1.NodeSelectorOpNotIn, Values: []string{"serve"}},
				}}},
			}}}
		})
	}},
	{title: "A volume that a member names does not exist", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 2)
		s.pods("train", 2, inGroup("train"), func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{
				PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "corpus"},
			}}}
		})
	}},
	{title: "No node belongs to a domain of the required level", before: func(s *scene) {
		s.topologyArgs = `levels: [{name: rack, nodeLabel: example.com/rack}]`
		s.nodes(plain)
		s.group("train", 2, required, "rack")
		s.pods("train", 2, inGroup("train"))
	}},
	{title: "Members that run stand in two domains of the required level", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 3, required, "leaf")
		s.pod("train-0", inGroup("train"), runsOn(s.node(0).Name))
		s.pod("train-1", inGroup("train"), runsOn(s.node(4).Name))
		s.pod("train-2", inGroup("train"))
	}},
	{title: "The search ends before an answer", before: func(s *scene) {
		s.gangArgs = append(s.gangArgs, "searchBudget: 4")
		s.nodes("shape=plain,spines=1,leaves=1,nodes=3")
		for i := range 3 {
			s.pod(fmt.Sprintf("other-%d", i), cpu("15"), runsOn(s.node(i).Name), by("default-scheduler"))
		}
		s.rayCluster(workers("b", 2, 1), workers("c", 2, 1), workers("d", 1, 1), workers("e", 1, 1), workers("f", 1, 1))
		s.pod("train-head", ray("headgroup"), cpu("8"))
		s.pods("train-b", 2, ray("b"), cpu("7"))
		s.pods("train-c", 2, ray("c"), cpu("6"))
		s.pods("train-d", 1, ray("d"), cpu("5"))
		s.pods("train-e", 1, ray("e"), cpu("3"))
		s.pods("train-f", 1, ray("f"), cpu("8"))
	}},
}

// deviceReasons are about GPUs and NICs.
var deviceReasons = []reason{
	{title: "Not enough devices are free", before: func(s *scene) {
		s.nodes(gpus)
		s.taken("gpus", s.node(0).Name, "gpu.nvidia.com", fleet.ClassGPU, "gpu-0")
		s.taken("nics", s.node(1).Name, "dra.net", fleet.ClassRDMA, "pci-0101-00-00-0")
		s.group("train", 8)
		s.claimed("train", 8, []any{fleet.ClassGPU, 8, fleet.ClassRDMA, 8}, inGroup("train"))
	}},
	{title: "Devices are free, but no pairs, and pairs are required", before: func(s *scene) {
		s.nodes("shape=ndh100v5,spines=1,leaves=1,nodes=2")
		for i := range 2 {
			s.taken(fmt.Sprintf("gpus-%d", i), s.node(i).Name, "gpu.nvidia.com", fleet.ClassGPU, "gpu-0", "gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5")
			s.taken(fmt.Sprintf("nics-%d", i), s.node(i).Name, "dra.net", fleet.ClassRDMA, "pci-0107-00-00-0", "pci-0108-00-00-0")
		}
		s.group("train", 2, alignment, "required")
		s.claimed("train", 2, []any{fleet.ClassGPU, 1, fleet.ClassRDMA, 1}, inGroup("train"))
	}},
	{title: "RDMA does not leave a placement group", before: func(s *scene) {
		s.topologyArgs = "preset: azure"
		s.nodes("shape=ndh100v5,spines=1,leaves=1,nodes=3,name=east,group=group-east")
		s.nodes("shape=ndh100v5,spines=1,leaves=1,nodes=2,name=west,group=group-west")
		s.rayCluster(workers("big", 4, 1))
		s.pod("train-head", ray("headgroup"))
		s.claimed("train-big", 4, []any{fleet.ClassGPU, 8, fleet.ClassRDMA, 8}, ray("big"))
	}},
	{title: "A claim that the members share is one node's", before: func(s *scene) {
		s.nodes(gpus)
		s.claim("shared", fleet.ClassGPU, 1)
		s.group("train", 9)
		s.claimed("train", 9, []any{fleet.ClassGPU, 1}, inGroup("train"), claiming("shared"))
	}},
	{title: "A claim asks for a class that does not exist", before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2)
		s.claimed("train", 2, []any{"gpu.example.com", 1}, inGroup("train"))
	}},
	{title: "A selector of a claim costs more than allowed", before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2)
		list := "[" + strings.Repeat("1,", 299) + "1]"
		for i := range 2 {
			name := fmt.Sprintf("train-%d", i)
			exactly := s.claim(name, fleet.ClassGPU, 1).Spec.Devices.Requests[0].Exactly
			exactly.Selectors = []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{
				Expression: "!" + list + ".exists(x, " + list + ".exists(y, x + y == 5))",
			}}}
			s.pod(name, claiming(name), inGroup("train"))
		}
	}},
	{title: "The wish for alignment is none that there is", countless: true, before: func(s *scene) {
		s.nodes(gpus)
		s.group("train", 2, alignment, "always")
		s.pods("train", 2, inGroup("train"))
	}},
}

// lifeReasons are about gangs that run, and about those before and behind them.
var lifeReasons = []reason{
	{title: "Members beyond the quorum find no room where the gang runs", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 4, required, "leaf")
		s.pods("train", 6, inGroup("train"), cpu("20"))
	}},
	{title: "A replacement finds no room where the gang runs", before: func(s *scene) {
		s.nodes(plain)
		s.group("train", 4, required, "leaf")
		for i := range 3 {
			s.pod(fmt.Sprintf("train-%d", i), inGroup("train"), cpu("20"), runsOn(s.node(i).Name))
		}
		s.node(3).Spec.Unschedulable = true
		s.pod("train-3", inGroup("train"), cpu("20"))
	}},
	{title: "Not all hosts of a later replica exist", before: func(s *scene) {
		s.nodes(plain)
		s.rayCluster(workers("slices", 2, 4))
		cluster := s.rayCluster(workers("slices", 1, 4))
		cluster.Spec.EnableInTreeAutoscaling = new(true)
		s.pod("train-head", ray("headgroup"), runsOn(s.node(0).Name))
		for i := range 4 {
			s.pod(fmt.Sprintf("train-slices-%d", i), ray("slices"), runsOn(s.node(i).Name))
		}
		s.pods("train-later", 3, ray("slices"))
	}},
	{title: "The gang lost a member and will move", before: func(s *scene) { s.broken("1h", 1, "ReplicaSet") }, after: (*scene).breakIt},
	{title: "The gang lost a member and fits nowhere else", before: func(s *scene) { s.broken("1s", 4, "ReplicaSet") }, after: (*scene).breakIt},
	{title: "The gang lost a member, and nobody would replace the others", before: func(s *scene) { s.broken("1s", 1, "") }, after: (*scene).breakIt},
	{title: "The gang moves, and a budget keeps it", before: func(s *scene) {
		s.evictions = apierrors.NewTooManyRequests("the budget is spent", 1)
		s.broken("1s", 1, "ReplicaSet")
	}, after: (*scene).breakIt},
	{title: "The gang moves, and the scheduler has no right to evict", before: func(s *scene) {
		s.evictions = apierrors.NewForbidden(v1.Resource("pods"), "train-2", errors.New(`User "system:serviceaccount:dovetail-system:dovetail" cannot create resource "pods/eviction" in API group "" in the namespace "ml"`))
		s.broken("1s", 1, "ReplicaSet")
	}, after: (*scene).breakIt},
	{title: "The gang moves, and an admission webhook forbids it", before: func(s *scene) {
		s.evictions = apierrors.NewForbidden(v1.Resource("pods"), "train-2", errors.New("evictions are frozen until Monday"))
		s.broken("1s", 1, "ReplicaSet")
	}, after: (*scene).breakIt},
	{title: "Nodes are reserved for a gang that others have bypassed", before: func(s *scene) {
		s.blocked("train")
	}, after: func(s *scene) { s.create("later", inGroup("later"), cpu("20")) }},
	{title: "Nodes are reserved for a gang until the pods on them end by their time limits", before: func(s *scene) {
		s.blocked("train", annotation(gangs.TimeLimitAnnotation, "90m"))
	}, after: func(s *scene) {
		s.create("later", inGroup("later"), cpu("20"), func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{v1.LabelHostname: s.node(1).Name} })
	}},
	{title: "Nodes are reserved for a gang, and stay idle", before: func(s *scene) {
		s.gangArgs = append(s.gangArgs, "reserve: Keep")
		s.blocked("train")
	}, after: func(s *scene) { s.create("later", inGroup("later"), cpu("20")) }},
	{title: "A gang is held back for one that it would pass", before: func(s *scene) {
		s.blocked("large")
	}, after: func(s *scene) {
		s.create("later-0", inGroup("later"), cpu("20"))
		s.untilSaid("large-0", "are reserved for it")
		s.group("train", 4)
		for i := range 4 {
			s.create(fmt.Sprintf("train-%d", i), inGroup("train"), cpu("20"))
		}
	}},
}

// broken has gang train run on the first leaf, which is full then, with a controller
// of that kind, beside so many busy nodes on the second.
func (s *scene) broken(healAfter string, busy int, kind string) {
	s.gangArgs = append(s.gangArgs, "healAfter: "+healAfter)
	s.nodes(plain)
	// From the start: what is changed later may be seen after the member that comes.
	s.node(3).Spec.Unschedulable = true
	s.group("train", 4, required, "leaf")
	for i := range 4 {
		s.pod(fmt.Sprintf("train-%d", i), append(owned(kind), inGroup("train"), cpu("20"), runsOn(s.node(i).Name))...)
	}
	for i := range busy - 1 {
		s.pod(fmt.Sprintf("other-%d", i), cpu("20"), runsOn(s.node(4+i).Name), by("default-scheduler"))
	}
}

func owned(kind string) []change {
	if kind == "" {
		return nil
	}
	return []change{controlledBy("apps/v1", kind, "train")}
}

// breakIt takes the gang's last member away, whose node takes nobody.
func (s *scene) breakIt() {
	pods := s.client.CoreV1().Pods(namespace)
	old, err := pods.Get(s.Context(), "train-3", metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	if err := pods.Delete(s.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.create("train-4", inGroup("train"), cpu("20"), func(p *v1.Pod) { p.OwnerReferences = old.OwnerReferences })
}

// blocked has a gang of that name wait for a whole leaf, with one node of each leaf
// busy with a pod of this scheduler, which on the second leaf is as given.
func (s *scene) blocked(name string, running ...change) {
	s.gangArgs = append(s.gangArgs, "maxBypass: 3s")
	s.nodes(plain)
	for i, as := range [][]change{nil, running} {
		s.pod(fmt.Sprintf("other-%d", i), append(as, cpu("20"), startedBefore(time.Hour), runsOn(s.node(4*i).Name))...)
	}
	s.group(name, 4, required, "leaf")
	s.group("later", 1)
	s.pods(name, 4, inGroup(name), cpu("20"))
}
