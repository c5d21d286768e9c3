// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
)

// maxVerdicts bounds the answers remembered for one ask. An ask whose selectors read unique attributes would otherwise
// remember every device that ever was.
const maxVerdicts = 4096

// ask is what one request wants a device to be: class, selectors, tolerations and capacity, without count. Equal asks of
// different claims are one value, so that a device shape is evaluated once for all of them.
type ask struct {
	// key orders and identifies asks.
	key         string
	class       string
	selectors   []selector
	tolerations []resourceapi.DeviceToleration
	capacity    capacities
	reads       readSet
	verdicts    map[string]verdict
	// failure is the first runtime error in the order of texts, "" if there was none.
	failure string
	// witness is the last node on which everything that satisfies this ask was an RDMA NIC; without one the whole cluster
	// was searched when the inventory's spec was searched.
	witness  string
	searched uint64
	// elsewhere says whether devices for several nodes satisfied the ask when the inventory's spec was reached.
	elsewhere bool
	reached   uint64
}

// selector is one compiled CEL expression; source says in errors where it stands.
type selector struct {
	source  string
	program cel.CompilationResult
}

// verdict is the stock evaluator's answer for one device shape; problem is its runtime error, which counts as a no.
type verdict struct {
	selects bool
	problem string
}

// askSpec is the part of an exact request or subrequest that makes an ask.
type askSpec struct {
	class       *resourceapi.DeviceClass
	selectors   []resourceapi.DeviceSelector
	tolerations []resourceapi.DeviceToleration
	capacity    *resourceapi.CapacityRequirements
}

func (s *askSpec) key() string {
	var b strings.Builder
	b.WriteString(s.class.Name)
	for _, from := range [][]resourceapi.DeviceSelector{s.class.Spec.Selectors, s.selectors} {
		b.WriteString("|")
		for _, one := range from {
			if one.CEL != nil {
				b.WriteString(strconv.Quote(one.CEL.Expression))
			}
		}
	}
	b.WriteString("|")
	for _, t := range s.tolerations {
		fmt.Fprintf(&b, "%q %q %q %q;", t.Key, t.Operator, t.Value, t.Effect)
	}
	b.WriteString("|")
	requests := capacitiesOf(s.capacity)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		quantity := requests[name]
		fmt.Fprintf(&b, "%s=%s;", name, quantity.String())
	}
	return b.String()
}

// compileAsk compiles the class's and the request's selectors with the stock compiler.
func compileAsk(cache *cel.Cache, spec *askSpec) (*ask, error) {
	a := &ask{
		key: spec.key(), class: spec.class.Name, tolerations: spec.tolerations,
		capacity: capacitiesOf(spec.capacity), verdicts: map[string]verdict{},
	}
	if err := a.compile(cache, "class "+spec.class.Name, spec.class.Spec.Selectors); err != nil {
		return nil, err
	}
	if err := a.compile(cache, "request", spec.selectors); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *ask) compile(cache *cel.Cache, source string, from []resourceapi.DeviceSelector) error {
	for i, one := range from {
		place := fmt.Sprintf("%s, selector %d", source, i)
		if one.CEL == nil {
			return fmt.Errorf("%s: holds no CEL expression", place)
		}
		program := cache.GetOrCompile(one.CEL.Expression)
		if program.Error != nil {
			return fmt.Errorf("%s: CEL compile error: %w", place, program.Error)
		}
		a.selectors = append(a.selectors, selector{source: place, program: program})
		a.reads.add(readsOf(one.CEL.Expression))
	}
	return nil
}

// judge says whether the device satisfies selectors and size, taints aside. Each device shape is evaluated once.
func (a *ask) judge(d *device) verdict {
	shape := a.shape(d)
	if known, ok := a.verdicts[shape]; ok {
		return known
	}
	if len(a.verdicts) >= maxVerdicts {
		clear(a.verdicts)
	}
	answer := a.evaluate(d)
	if answer.problem != "" && (a.failure == "" || answer.problem < a.failure) {
		a.failure = answer.problem
	}
	a.verdicts[shape] = answer
	return answer
}

func (a *ask) evaluate(d *device) verdict {
	input := cel.Device{
		Driver: d.driver, AllowMultipleAllocations: d.spec.AllowMultipleAllocations,
		Attributes: d.spec.Attributes, Capacity: d.spec.Capacity,
	}
	for i := range a.selectors {
		one := &a.selectors[i]
		// The evaluator's own cost limit bounds the time; there is nothing to cancel.
		matches, _, err := one.program.DeviceMatches(context.Background(), input)
		if err != nil {
			return verdict{problem: fmt.Sprintf("%s: CEL runtime error: %v", one.source, cel.EnhanceRuntimeError(err))}
		}
		if !matches {
			return verdict{}
		}
	}
	_, fits := a.capacity.consumed(d.spec)
	return verdict{selects: fits}
}

// problem is a sentence about devices that the selectors failed on, or "".
func (a *ask) problem() string {
	if a.failure == "" {
		return ""
	}
	return fmt.Sprintf("class %s: devices do not count for which %s", a.class, a.failure)
}

// tolerates says whether no taint keeps the device from this ask; effects unknown to this version keep nobody out.
func (a *ask) tolerates(d *device) bool {
	return !slices.ContainsFunc(d.spec.Taints, func(taint resourceapi.DeviceTaint) bool {
		if taint.Effect != resourceapi.DeviceTaintEffectNoSchedule && taint.Effect != resourceapi.DeviceTaintEffectNoExecute {
			return false
		}
		return !slices.ContainsFunc(a.tolerations, func(toleration resourceapi.DeviceToleration) bool {
			return resourceclaim.ToleratesTaint(toleration, taint)
		})
	})
}

// shape writes down all that the answer can depend on; capacities always do.
func (a *ask) shape(d *device) string {
	var b strings.Builder
	b.WriteString(d.driver)
	b.WriteString("\x00")
	b.WriteString(strconv.FormatBool(isShared(d.spec)))
	if a.reads.everything {
		writeAttributes(&b, d.spec)
	}
	for _, name := range a.reads.attributes {
		value, ok := d.attribute(name)
		b.WriteString("\x00")
		b.WriteString(strconv.FormatBool(ok))
		writeAttribute(&b, value)
	}
	b.WriteString(d.capacities)
	return b.String()
}

func writeAttributes(b *strings.Builder, d *resourceapi.Device) {
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		b.WriteString("\x00")
		b.WriteString(string(name))
		b.WriteString("=")
		writeAttribute(b, d.Attributes[name])
	}
}

func writeAttribute(b *strings.Builder, value resourceapi.DeviceAttribute) {
	if text := scalarText(value); text != "" {
		b.WriteString(text)
		return
	}
	b.WriteString(listText(value))
}

// capacityText writes down a device's capacities and the rules for sharing them.
func capacityText(d *resourceapi.Device) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Capacity)) {
		capacity := d.Capacity[name]
		fmt.Fprintf(&b, "\x00%s=%s", name, capacity.Value.String())
		if capacity.RequestPolicy != nil {
			b.WriteString(capacity.RequestPolicy.String())
		}
	}
	return b.String()
}

// isShared says whether several allocations may hold parts of the device at once.
func isShared(d *resourceapi.Device) bool {
	return d.AllowMultipleAllocations != nil && *d.AllowMultipleAllocations
}
