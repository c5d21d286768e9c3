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

// levelLabels maps the levels in the annotations of the workloads' pods to node labels.
var levelLabels = map[string]string{"leaf": "network.topology.nvidia.com/leaf"}

// gang identifies a gang.
type gang struct{ namespace, name string }

// rotation is a set of nodes that pods get in rotation.
type rotation struct {
	domain string
	nodes  []string
	// next is the index of the node for the next pod.
	next int
}

// nodePicker chooses a node for each pod. It needs no lock, because the scheduler places
// one pod at a time.
type nodePicker struct {
	handle  fwk.Handle
	devices *deviceView
	all     *rotation
	// domains are the domains of each label, with their nodes sorted by name.
	domains map[string][]*rotation
	// gangs holds the chosen domain of each gang.
	gangs map[gang]*rotation
}

func newNodePicker(handle fwk.Handle, view *deviceView) *nodePicker {
	return &nodePicker{handle: handle, devices: view, all: &rotation{}, gangs: map[gang]*rotation{}}
}

// refresh reads the nodes again if their number has changed.
func (p *nodePicker) refresh() error {
	infos, err := p.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil || len(infos) == len(p.all.nodes) {
		return err
	}
	names := make([]string, 0, len(infos))
	for _, info := range infos {
		names = append(names, info.Node().Name)
	}
	slices.Sort(names)
	p.all, p.domains = &rotation{nodes: names}, map[string][]*rotation{}
	return nil
}

// nodeFor returns the next node on which the pod fits, or "" if there is none.
func (p *nodePicker) nodeFor(pod *v1.Pod) (string, error) {
	if err := p.refresh(); err != nil {
		return "", err
	}
	from, err := p.rotationOf(pod)
	if err != nil || from == nil {
		return "", err
	}
	want := demandOf(pod)
	if want.devices, err = p.devices.devicesFor(pod); err != nil {
		return "", err
	}
	for range from.nodes {
		name := from.nodes[from.next]
		from.next = (from.next + 1) % len(from.nodes)
		info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return "", err
		}
		if want.slotsOn(info) > 0 && p.devices.show(name, want.devices) {
			return name, nil
		}
	}
	p.devices.reset()
	return "", nil
}

// rotationOf returns the nodes that the pod may use, or nil if its gang fits in no domain.
func (p *nodePicker) rotationOf(pod *v1.Pod) (*rotation, error) {
	if group := pod.Spec.SchedulingGroup; group != nil && group.PodGroupName != nil {
		if chosen := p.gangs[gang{pod.Namespace, *group.PodGroupName}]; chosen != nil {
			return chosen, nil
		}
		return p.all, nil
	}
	label, name := levelLabels[pod.Annotations[gangs.RequiredAnnotation]], pod.Labels[gangs.GangNameLabel]
	if label == "" || name == "" {
		return p.all, nil
	}
	size, err := strconv.Atoi(pod.Annotations[gangs.GangMinAnnotation])
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", gangs.GangMinAnnotation, err)
	}
	return p.domainFor(gang{pod.Namespace, name}, label, pod, size)
}

// domainFor returns a domain with room for a gang of size pods that have the requests of
// like. It returns nil if no domain has room.
func (p *nodePicker) domainFor(g gang, label string, like *v1.Pod, size int) (*rotation, error) {
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if chosen := p.gangs[g]; chosen != nil {
		return chosen, nil
	}
	domains, err := p.domainsBy(label)
	if err != nil {
		return nil, err
	}
	want := demandOf(like)
	for i, d := range domains {
		fits, err := p.fits(d, want, size)
		if err != nil {
			return nil, err
		}
		if fits {
			// The next gang starts its search after this domain.
			p.domains[label] = slices.Concat(domains[i+1:], domains[:i+1])
			p.gangs[g] = d
			return d, nil
		}
	}
	return nil, nil
}

func (p *nodePicker) domainsBy(label string) ([]*rotation, error) {
	if domains := p.domains[label]; domains != nil {
		return domains, nil
	}
	at := map[string]*rotation{}
	var domains []*rotation
	for _, name := range p.all.nodes {
		info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return nil, err
		}
		value := info.Node().Labels[label]
		if at[value] == nil {
			at[value] = &rotation{domain: value}
			domains = append(domains, at[value])
		}
		at[value].nodes = append(at[value].nodes, name)
	}
	p.domains[label] = domains
	return domains, nil
}

// fits reports whether a domain has room for size pods.
func (p *nodePicker) fits(d *rotation, want demand, size int) (bool, error) {
	room := int64(0)
	for _, name := range d.nodes {
		info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return false, err
		}
		if room += want.slotsOn(info); room >= int64(size) {
			return true, nil
		}
	}
	return false, nil
}

func (p *nodePicker) infos(of *rotation) ([]fwk.NodeInfo, error) {
	infos := make([]fwk.NodeInfo, 0, len(of.nodes))
	for _, name := range of.nodes {
		info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// demand is the resource demand of a pod.
type demand struct {
	milliCPU, memory int64
	devices          int
}

func demandOf(pod *v1.Pod) demand {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	return demand{milliCPU: requests.Cpu().MilliValue(), memory: requests.Memory().Value()}
}

// slotsOn returns the number of such pods that a node has room for, ignoring devices.
func (d demand) slotsOn(info fwk.NodeInfo) int64 {
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
