// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	schedulerutil "k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// hostPort is a port of a node that only one pod can have.
type hostPort struct {
	protocol v1.Protocol
	ip       string
	port     int32
}

// allAddresses is the host IP of a port that a pod takes on all addresses of its node.
const allAddresses = "0.0.0.0"

// portRules returns the rules that keep members with the same host port off the same
// node.
func portRules(roles []roleInput) []plan.AntiAffinity {
	users := map[hostPort][]string{}
	for i := range roles {
		for _, port := range hostPortsOf(roles[i].sample) {
			if names := users[port]; len(names) == 0 || names[len(names)-1] != roles[i].Name {
				users[port] = append(names, roles[i].Name)
			}
		}
	}
	var ports []hostPort
	for port := range users {
		ports = append(ports, port)
	}
	slices.SortFunc(ports, func(a, b hostPort) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.ip, b.ip))
	})
	var rules []plan.AntiAffinity
	for _, port := range ports {
		rules = append(rules, plan.AntiAffinity{Level: plan.NodeLevel, Roles: users[port], Others: users[port]})
		everywhere := hostPort{port.protocol, allAddresses, port.port}
		if port.ip != allAddresses && len(users[everywhere]) > 0 {
			rules = append(rules, plan.AntiAffinity{Level: plan.NodeLevel, Roles: users[port], Others: users[everywhere]})
		}
	}
	return rules
}

// hostPortsOf returns the host ports of a pod, with the defaults of the stock scheduler.
func hostPortsOf(pod *v1.Pod) []hostPort {
	var ports []hostPort
	for _, p := range schedulerutil.GetHostPorts(pod) {
		ports = append(ports, hostPort{cmp.Or(p.Protocol, v1.ProtocolTCP), cmp.Or(p.HostIP, allAddresses), p.HostPort})
	}
	return ports
}
