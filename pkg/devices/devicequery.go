// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
)

// minMatchResults is how many results one query may cache in any cluster. A query may cache
// more if the cluster has more devices. Without a limit, a query with selectors on unique
// attributes would keep a result for every device that ever existed.
const minMatchResults = 4096

// deviceQuery is what a request demands of a device: DeviceClass, selectors, tolerations
// and capacity, without the count. Equal queries of different claims are one value, so each
// device shape (the attributes and capacities that a query reads) is evaluated once for
// all claims.
type deviceQuery struct {
	// key identifies the query and is the text by which queries are sorted.
	key   string
	class string
	// base is the query that has only the selectors of the class, nil if this is that query.
	// With a base, selectors has only the selectors of the request.
	base        *deviceQuery
	selectors   []celSelector
	tolerations []resourceapi.DeviceToleration
	capacity    capacities
	reads       readSet
	// results caches the results of match, by device shape.
	results map[string]matchResult
	// length is the sum of the lengths of the request's selectors, in bytes.
	length int
	// cost is the most that the request's selectors cost on a device so far. costly is
	// the sentence about a selector that costs more than maxDeviceCost, "" if there is none.
	cost   uint64
	costly string
	// resultLimit is the number of results at which they are dropped.
	resultLimit int
	// results has all devices of the inventory's slices as of its revisions evaluatedSpec
	// (of the slices) and evaluatedAt (of the inventory).
	evaluatedSpec, evaluatedAt uint64
	// failure is one of the runtime errors of the selectors: the one whose text sorts
	// first. It is "" if there was no error.
	failure string
	// rdmaNode is the last node on which all devices that satisfy this query were RDMA
	// NICs. If it is empty, no node had only RDMA NICs for the query when the inventory's
	// spec (the revision of its slices) was rdmaSearchedAt.
	rdmaNode       string
	rdmaSearchedAt uint64
	// multiNode is true if a device that several nodes can use satisfied the query when
	// the inventory's spec (the revision of its slices) was multiNodeAt.
	multiNode   bool
	multiNodeAt uint64
}

// celSelector is a compiled CEL expression. source names its place in the class or
// request, for error messages.
type celSelector struct {
	source  string
	program cel.CompilationResult
}

// matchResult is the result of a query for one device shape (all that the query reads of
// a device). A runtime error is in problem and counts as no match.
type matchResult struct {
	selects bool
	problem string
}

// evaluated is a result with the cost of the request's selectors. costly is the sentence
// about a selector that was stopped because it costs more than maxDeviceCost.
type evaluated struct {
	matchResult
	cost   uint64
	costly string
}

// celCompiler compiles CEL expressions of selectors.
type celCompiler interface {
	CompileCELExpression(expression string, options cel.Options) cel.CompilationResult
}

// querySpec is the part of a device request or subrequest that defines a query.
type querySpec struct {
	class       *resourceapi.DeviceClass
	selectors   []resourceapi.DeviceSelector
	tolerations []resourceapi.DeviceToleration
	capacity    *resourceapi.CapacityRequirements
}

func (s *querySpec) key() string {
	var b strings.Builder
	b.WriteString(s.class.Name)
	for _, from := range [][]resourceapi.DeviceSelector{s.class.Spec.Selectors, s.selectors} {
		b.WriteString("|")
		for _, selector := range from {
			if selector.CEL != nil {
				b.WriteString(strconv.Quote(selector.CEL.Expression))
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

// isClass returns true if the spec demands nothing beside the class.
func (s *querySpec) isClass() bool {
	return len(s.selectors) == 0 && len(s.tolerations) == 0 && len(capacitiesOf(s.capacity)) == 0
}

// length returns the sum of the lengths of the request's selectors, in bytes.
func (s *querySpec) length() int {
	sum := 0
	for _, selector := range s.selectors {
		if selector.CEL != nil {
			sum += len(selector.CEL.Expression)
		}
	}
	return sum
}

// compileClass compiles the selectors of the class with the stock compiler. It returns an
// error if a selector does not compile.
func compileClass(compiler celCompiler, spec *querySpec) (*deviceQuery, error) {
	q := &deviceQuery{key: spec.key(), class: spec.class.Name, results: map[string]matchResult{}, resultLimit: minMatchResults}
	return q, q.compile(compiler, "class "+spec.class.Name, spec.class.Spec.Selectors, resourceapi.CELSelectorExpressionMaxCost)
}

// compileQuery compiles the selectors of the request with the stock compiler. base is the
// query of the request's class. It returns an error if a selector does not compile.
func compileQuery(compiler celCompiler, spec *querySpec, base *deviceQuery) (*deviceQuery, error) {
	q := &deviceQuery{
		key: spec.key(), class: spec.class.Name, base: base, tolerations: spec.tolerations,
		capacity: capacitiesOf(spec.capacity), results: map[string]matchResult{}, resultLimit: minMatchResults, length: spec.length(),
	}
	q.reads.add(base.reads)
	return q, q.compile(compiler, "request", spec.selectors, maxDeviceCost)
}

func (q *deviceQuery) compile(compiler celCompiler, source string, from []resourceapi.DeviceSelector, limit uint64) error {
	for i, selector := range from {
		place := fmt.Sprintf("%s, selector %d", source, i)
		if selector.CEL == nil {
			return fmt.Errorf("%s: holds no CEL expression", place)
		}
		program := compiler.CompileCELExpression(selector.CEL.Expression, cel.Options{CostLimit: &limit, DisableCostEstimation: true})
		if program.Error != nil {
			return fmt.Errorf("%s: CEL compile error: %w", place, program.Error)
		}
		q.selectors = append(q.selectors, celSelector{source: place, program: program})
		q.reads.add(readsOf(selector.CEL.Expression))
	}
	return nil
}

// match evaluates the query's selectors and capacity for a device. It ignores taints.
// Devices that do not differ for the query are evaluated once.
func (q *deviceQuery) match(d *device) matchResult {
	shape := q.shape(d)
	if cached, ok := q.results[shape]; ok {
		return cached
	}
	if len(q.results) >= q.resultLimit {
		q.forget()
	}
	class := matchResult{selects: true}
	if q.base != nil {
		class = q.base.match(d)
	}
	answer := q.evaluate(d, class)
	q.record(shape, &answer)
	return answer.matchResult
}

// forget drops all results, so the query is evaluated on all devices again.
func (q *deviceQuery) forget() {
	clear(q.results)
	q.evaluatedSpec, q.evaluatedAt = 0, 0
}

// record caches the result for a device shape.
func (q *deviceQuery) record(shape string, e *evaluated) {
	if e.problem != "" && (q.failure == "" || e.problem < q.failure) {
		q.failure = e.problem
	}
	if e.costly != "" && (q.costly == "" || e.costly < q.costly) {
		q.costly = e.costly
	}
	q.cost = max(q.cost, e.cost)
	q.results[shape] = e.matchResult
}

// evaluate runs the selectors of the request for a device. class is the result of the
// class's selectors. It reads only fields of the query that never change after compilation,
// so it needs no lock.
func (q *deviceQuery) evaluate(d *device, class matchResult) evaluated {
	if !class.selects {
		return evaluated{matchResult: class}
	}
	input := cel.Device{
		Driver: d.driver, AllowMultipleAllocations: d.spec.AllowMultipleAllocations,
		Attributes: d.spec.Attributes, Capacity: d.spec.Capacity,
	}
	var e evaluated
	for i := range q.selectors {
		selector := &q.selectors[i]
		// The call needs no context that ends it: the evaluator has its own cost limit.
		matches, details, err := selector.program.DeviceMatches(context.Background(), input)
		var cost uint64
		if details != nil && details.ActualCost() != nil {
			cost = *details.ActualCost()
		}
		e.cost += cost
		if err != nil {
			if q.base != nil && cost > maxDeviceCost {
				e.costly = fmt.Sprintf("selector %d costs more than %d CEL cost units on a device, the most that a pod's selectors may cost", i, maxDeviceCost)
			}
			e.problem = fmt.Sprintf("%s: CEL runtime error: %v", selector.source, cel.EnhanceRuntimeError(err))
			return e
		}
		if !matches {
			return e
		}
	}
	_, e.selects = q.capacity.consumed(d.spec)
	return e
}

// problem returns a sentence about devices for which the query's selectors failed, or "".
func (q *deviceQuery) problem() string {
	if q.failure == "" {
		return ""
	}
	return fmt.Sprintf("class %s: some devices are not counted: %s", q.class, q.failure)
}

// tolerates returns true if the query tolerates all taints of the device. Taints with
// effects unknown to this version exclude no device.
func (q *deviceQuery) tolerates(d *device) bool {
	return !slices.ContainsFunc(d.spec.Taints, func(taint resourceapi.DeviceTaint) bool {
		if taint.Effect != resourceapi.DeviceTaintEffectNoSchedule && taint.Effect != resourceapi.DeviceTaintEffectNoExecute {
			return false
		}
		return !slices.ContainsFunc(q.tolerations, func(toleration resourceapi.DeviceToleration) bool {
			return resourceclaim.ToleratesTaint(toleration, taint)
		})
	})
}

// shape returns, as text, all that the query's result for a device depends on: the
// attributes that the selectors read, and always the driver, the capacities and whether
// several allocations may share the device.
func (q *deviceQuery) shape(d *device) string {
	var b strings.Builder
	b.WriteString(d.driver)
	b.WriteString("\x00")
	b.WriteString(strconv.FormatBool(isShared(d.spec)))
	if q.reads.everything {
		writeAttributes(&b, d.spec)
	}
	for _, name := range q.reads.attributes {
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

// capacityText returns, as text, a device's capacities and the policies for requests of
// parts of them.
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

// isShared returns true if several allocations may hold parts of the device at the same time.
func isShared(d *resourceapi.Device) bool {
	return d.AllowMultipleAllocations != nil && *d.AllowMultipleAllocations
}

func satisfies(d *device, queries []*deviceQuery) bool {
	return slices.ContainsFunc(queries, func(q *deviceQuery) bool { return q.match(d).selects && q.tolerates(d) })
}

// label returns a short name for a query: its class and a hash of its key.
func (q *deviceQuery) label() string { return q.class + "{" + shortHash(q.key) + "}" }

func shortHash(text string) string {
	h := fnv.New64a()
	// Writing to a hash never fails.
	_, _ = h.Write([]byte(text))
	return strconv.FormatUint(h.Sum64(), 36)
}
