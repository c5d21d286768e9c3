// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// levelLabels are the labels of the levels that pods of the workloads here name in their annotation.
var levelLabels = map[string]string{"leaf": "network.topology.nvidia.com/leaf"}

// gang identifies one.
type gang struct{ namespace, name string }

// turn is a set of nodes, and whose turn is next.
type turn struct {
	domain string
	nodes  []string
	next   int
}

// seer hands out nodes. The scheduler asks for one pod at a time.
type seer struct {
	handle fwk.Handle
	sight  *sight
	all    *turn
	// domains are the nodes by the value of a label, in the order of their names.
	domains map[string][]*turn
	// gangs are those whose domain is settled.
	gangs map[gang]*turn
}

func newSeer(handle fwk.Handle, seen *sight) *seer {
	return &seer{handle: handle, sight: seen, all: &turn{}, gangs: map[gang]*turn{}}
}

// look reads the nodes anew when there are more, or fewer, than before.
func (s *seer) look() error {
	infos, err := s.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil || len(infos) == len(s.all.nodes) {
		return err
	}
	names := make([]string, 0, len(infos))
	for _, info := range infos {
		names = append(names, info.Node().Name)
	}
	slices.Sort(names)
	s.all, s.domains = &turn{nodes: names}, map[string][]*turn{}
	return nil
}

// nodeFor returns the next node where the pod fits, "" if there is none.
func (s *seer) nodeFor(pod *v1.Pod) (string, error) {
	if err := s.look(); err != nil {
		return "", err
	}
	from, err := s.turnOf(pod)
	if err != nil || from == nil {
		return "", err
	}
	want := demandOf(pod)
	if want.devices, err = s.sight.devicesFor(pod); err != nil {
		return "", err
	}
	for range from.nodes {
		name := from.nodes[from.next]
		from.next = (from.next + 1) % len(from.nodes)
		info, err := s.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return "", err
		}
		if want.in(info) > 0 && s.sight.choose(name, want.devices) {
			return name, nil
		}
	}
	s.sight.forget()
	return "", nil
}

// turnOf returns the nodes that the pod may use, nil if its gang fits nowhere.
func (s *seer) turnOf(pod *v1.Pod) (*turn, error) {
	if group := pod.Spec.SchedulingGroup; group != nil && group.PodGroupName != nil {
		if settled := s.gangs[gang{pod.Namespace, *group.PodGroupName}]; settled != nil {
			return settled, nil
		}
		return s.all, nil
	}
	label, name := levelLabels[pod.Annotations[gangs.RequiredAnnotation]], pod.Labels[gangs.GangNameLabel]
	if label == "" || name == "" {
		return s.all, nil
	}
	size, err := strconv.Atoi(pod.Annotations[gangs.GangMinAnnotation])
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", gangs.GangMinAnnotation, err)
	}
	return s.settle(gang{pod.Namespace, name}, label, pod, size)
}

// settle returns the domain of a gang of pods like the one given, nil if it fits in none.
func (s *seer) settle(g gang, label string, like *v1.Pod, size int) (*turn, error) {
	if err := s.look(); err != nil {
		return nil, err
	}
	if settled := s.gangs[g]; settled != nil {
		return settled, nil
	}
	domains, err := s.domainsBy(label)
	if err != nil {
		return nil, err
	}
	want := demandOf(like)
	for i, d := range domains {
		fits, err := s.holds(d, want, size)
		if err != nil {
			return nil, err
		}
		if fits {
			// The next gang begins behind this one.
			s.domains[label] = slices.Concat(domains[i+1:], domains[:i+1])
			s.gangs[g] = d
			return d, nil
		}
	}
	return nil, nil
}

func (s *seer) domainsBy(label string) ([]*turn, error) {
	if known := s.domains[label]; known != nil {
		return known, nil
	}
	at := map[string]*turn{}
	var domains []*turn
	for _, name := range s.all.nodes {
		info, err := s.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return nil, err
		}
		value := info.Node().Labels[label]
		if at[value] == nil {
			at[value] = &turn{domain: value}
			domains = append(domains, at[value])
		}
		at[value].nodes = append(at[value].nodes, name)
	}
	s.domains[label] = domains
	return domains, nil
}

// holds says whether a domain has room for so many pods.
func (s *seer) holds(d *turn, want demand, size int) (bool, error) {
	room := int64(0)
	for _, name := range d.nodes {
		info, err := s.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return false, err
		}
		if room += want.in(info); room >= int64(size) {
			return true, nil
		}
	}
	return false, nil
}

func (s *seer) infos(of *turn) ([]fwk.NodeInfo, error) {
	infos := make([]fwk.NodeInfo, 0, len(of.nodes))
	for _, name := range of.nodes {
		info, err := s.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// demand is what a pod takes of a node.
type demand struct {
	milliCPU, memory int64
	devices          int
}

func demandOf(pod *v1.Pod) demand {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	return demand{milliCPU: requests.Cpu().MilliValue(), memory: requests.Memory().Value()}
}

// in returns for how many such pods a node has room, apart from devices.
func (d demand) in(info fwk.NodeInfo) int64 {
	total, used := info.GetAllocatable(), info.GetRequested()
	room := int64(total.GetAllowedPodNumber() - len(info.GetPods()))
	if d.milliCPU > 0 {
		room = min(room, (total.GetMilliCPU()-used.GetMilliCPU())/d.milliCPU)
	}
	if d.memory > 0 {
		room = min(room, (total.GetMemory()-used.GetMemory())/d.memory)
	}
	return room
}
