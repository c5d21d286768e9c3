// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// shortage returns a sentence that names the devices that a node lacks for a request. It
// returns "" if counts do not exclude the node. served has the extended resources that the
// node's device plugins serve. shortage never excludes a node on which the stock allocator
// finds devices: it treats shared counters as unused, shared devices as unlimited, and
// devices for several nodes as available. A request is short only if all its options (ways
// to meet it) are short. The sentence describes the first option.
func (c *contents) shortage(n *node, request *Request, served []v1.ResourceName) string {
	var reason string
	for i := range request.options {
		short := c.census(n, &request.options[i], served).short()
		if short == "" {
			return ""
		}
		if reason == "" {
			reason = short
		}
	}
	return reason
}

// census counts a node's free devices for the requests of one option (a way to meet a
// pod's request). Requests with equal queries form a class, which is not a DeviceClass.
type census struct {
	contents *contents
	option   *requestOption
	free     []*device
	// classes has the queries (demands on a device) of each class of requests. wanted has,
	// by index of a class, how many devices its requests ask for together. of has, by index
	// of a request, the index of its class, or -1 if counts cannot limit the request.
	classes [][]*deviceQuery
	wanted  []int
	of      []int
}

func (c *contents) census(n *node, option *requestOption, served []v1.ResourceName) *census {
	counts := &census{contents: c, option: option, of: make([]int, len(option.requests))}
	for i := range option.requests {
		counts.of[i] = counts.classOf(&option.requests[i], served)
	}
	for _, d := range n.devices {
		if !c.ledger.inUse(d.id) {
			counts.free = append(counts.free, d)
		}
	}
	return counts
}

func (c *census) classOf(request *deviceRequest, served []v1.ResourceName) int {
	if request.all || slices.Contains(served, request.plugin) || slices.ContainsFunc(request.queries, c.contents.servedByMultiNode) {
		return -1
	}
	class := slices.IndexFunc(c.classes, func(queries []*deviceQuery) bool { return slices.Equal(queries, request.queries) })
	if class < 0 && len(c.classes) == maxCounted {
		return -1
	}
	if class < 0 {
		class = len(c.classes)
		c.classes, c.wanted = append(c.classes, request.queries), append(c.wanted, 0)
	}
	c.wanted[class] += request.count
	return class
}

// short returns a sentence about the first shortage: of devices for one class of
// requests, for all classes together, or for classes whose devices must share an
// attribute's value. It returns "" if there is none.
func (c *census) short() string {
	if len(c.classes) == 0 {
		return ""
	}
	all := c.count(c.free, c.classes)
	for class, wanted := range c.wanted {
		if found := all.found(class); found < wanted {
			return fmt.Sprintf("%s: %d wanted, %d free", c.name(class), wanted, found)
		}
	}
	demands := make([]DeviceDemand, len(c.classes))
	names := make([]string, len(c.classes))
	for class, wanted := range c.wanted {
		demands[class] = DeviceDemand{Kinds: all.kinds(class), Count: wanted}
		names[class] = fmt.Sprintf("%d of %s", wanted, c.name(class))
	}
	if Times(demands, all.supply) < 1 {
		return fmt.Sprintf("%s: not available together", strings.Join(names, ", "))
	}
	return c.shortOfValue()
}

// shortOfValue returns a sentence about matchAttribute constraints for which there are
// too few devices with a common value, or "". Equal constraints compete: each needs
// devices of its own.
func (c *census) shortOfValue() string {
	for _, p := range c.option.constraintLimits() {
		classes := make([][]*deviceQuery, len(p.demands))
		demands := make([]DeviceDemand, len(p.demands))
		for i := range p.demands {
			classes[i] = p.demands[i].queries
		}
		if len(classes) > maxCounted || slices.ContainsFunc(classes, c.unbounded) {
			continue
		}
		found := 0
		for _, devices := range byValue(c.free, p.attribute) {
			counts := c.count(devices, classes)
			for i := range p.demands {
				demands[i] = DeviceDemand{Kinds: counts.kinds(i), Count: p.demands[i].count}
			}
			found += Times(demands, counts.supply)
		}
		if found < p.times {
			return fmt.Sprintf("%s with one %s: %d wanted, %d available", p.describe(), p.attribute, p.times, found)
		}
	}
	return ""
}

func (c *census) unbounded(queries []*deviceQuery) bool {
	return !slices.ContainsFunc(c.classes, func(class []*deviceQuery) bool { return slices.Equal(class, queries) })
}

// byValue groups devices by their value of an attribute. It omits devices without the
// attribute.
func byValue(devices []*device, attribute string) map[string][]*device {
	groups := map[string][]*device{}
	for _, d := range devices {
		if value, ok := d.attribute(attribute); ok {
			groups[scalarText(value)] = append(groups[scalarText(value)], d)
		}
	}
	return groups
}

// describe returns, as text, the devices that one constraint demands. A podLimit from
// constraintLimits stands for p.times equal matchAttribute constraints.
func (p *podLimit) describe() string {
	parts := make([]string, len(p.demands))
	for i := range p.demands {
		parts[i] = fmt.Sprintf("%d of class %s", p.demands[i].count, p.demands[i].queries[0].class)
	}
	return strings.Join(parts, " and ")
}

// name returns the name of a class of requests for sentences: the extended resource, or
// the DeviceClass of the first alternative.
func (c *census) name(class int) string {
	request := &c.option.requests[slices.Index(c.of, class)]
	if request.plugin != "" {
		return string(request.plugin)
	}
	return "devices of class " + request.queries[0].class
}

// classCounts counts devices by the set of classes of requests that they satisfy. A set
// is a mask with one bit for each class; supply has the number of devices for each mask.
type classCounts struct {
	masks  []uint64
	supply []int
}

// unlimited is added to the count for each shared device (allowMultipleAllocations): it is
// more than the shares that any pod requests.
const unlimited = 1 << 20

// maxCounted is the maximum number of classes of requests in a mask. Counts do not limit
// further classes.
const maxCounted = 64

func (c *census) count(devices []*device, classes [][]*deviceQuery) classCounts {
	var t classCounts
	for _, d := range devices {
		var mask uint64
		for class, queries := range classes {
			if satisfies(d, queries) {
				mask |= 1 << class
			}
		}
		at := slices.Index(t.masks, mask)
		if at < 0 {
			at = len(t.masks)
			t.masks, t.supply = append(t.masks, mask), append(t.supply, 0)
		}
		t.supply[at]++
		if isShared(d.spec) {
			t.supply[at] += unlimited
		}
	}
	return t
}

// kinds returns the indices of the masks (sets of classes of requests) that contain the
// class.
func (t *classCounts) kinds(class int) []int {
	var kinds []int
	for i, mask := range t.masks {
		if mask&(1<<class) != 0 {
			kinds = append(kinds, i)
		}
	}
	return kinds
}

// found returns the number of devices that satisfy a class of requests, as if there were no
// other requests.
func (t *classCounts) found(class int) int {
	sum := 0
	for _, kind := range t.kinds(class) {
		sum += t.supply[kind]
	}
	return sum
}
