// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "fmt"

// CEL selectors are compiled and evaluated while the inventory is not locked, so a pod with
// costly selectors does not stop other pods. Results depend only on the query (what a
// request demands of a device) and the shape of the device (all that the query reads of it),
// so they stay valid when slices change during an evaluation. The revision of the slices at
// the start of the evaluation tells for which devices the results are complete. Compilation
// and evaluation are charged to the budget of the pod's namespace, which limits such work.

// chunk is the number of devices that are evaluated between two checks of the budget.
const chunk = 64

// query returns the query for what a request demands of a device. Equal demands share one
// value, compiled once. It returns an error if a selector does not compile, and a CostError
// if the selectors are too long or (temporary) the namespace cannot pay for the compilation.
func (inv *Inventory) query(namespace string, spec *querySpec) (*deviceQuery, error) {
	key := spec.key()
	if cached := inv.cached(key); cached != nil {
		return cached, nil
	}
	class := querySpec{class: spec.class}
	if spec.isClass() {
		namespace = ""
	}
	if spec.length() > maxPodSelectors {
		return nil, costErrorf("its selectors have %d characters, more than the %d that a pod may have", spec.length(), maxPodSelectors)
	}
	if err := inv.budgets.check(namespace); err != nil {
		return nil, err
	}
	base := inv.cached(class.key())
	if base == nil {
		var err error
		if base, err = compileClass(inv.compiler, &class); err != nil {
			return nil, err
		}
		base = inv.remember(base, "")
	}
	if spec.isClass() {
		return base, nil
	}
	inv.budgets.charge(namespace, int64(len(spec.selectors)*compileCost+spec.length()*compileByteCost))
	q, err := compileQuery(inv.compiler, spec, base)
	if err != nil {
		return nil, err
	}
	return inv.remember(q, namespace), nil
}

func (inv *Inventory) cached(key string) *deviceQuery {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.queries.get(key)
}

func (inv *Inventory) remember(q *deviceQuery, owner string) *deviceQuery {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.queries.add(q, owner)
}

// asked is a query with the place in the claims that asks for it, for error messages.
type asked struct {
	*deviceQuery
	place string
}

// evaluateAll evaluates all selectors of a pod on all devices, unless results are cached. It
// returns their cost on one device. It returns a CostError if they cost more than one pod
// may cost, or if the namespace has spent its budget.
func (inv *Inventory) evaluateAll(namespace string, all []asked) (uint64, error) {
	var cost uint64
	length := 0
	seen := map[*deviceQuery]bool{}
	for _, a := range all {
		if seen[a.deviceQuery] {
			continue
		}
		seen[a.deviceQuery] = true
		if length += a.length; length > maxPodSelectors {
			return 0, fmt.Errorf("%s: %w", a.place, costErrorf("with it, the selectors of the pod have %d characters, more than the %d that a pod may have", length, maxPodSelectors))
		}
		if len(seen) > maxPodQueries {
			return 0, fmt.Errorf("%s: %w", a.place, costErrorf("with it, the pod has more than %d different device requests", maxPodQueries))
		}
		queryCost, err := inv.evaluateQuery(namespace, a.deviceQuery)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", a.place, err)
		}
		if cost += queryCost; cost > maxDeviceCost {
			return 0, fmt.Errorf("%s: %w", a.place, costErrorf("with it, the selectors of the pod cost %d CEL cost units on a device, more than %d", cost, maxDeviceCost))
		}
	}
	return cost, nil
}

// evaluateQuery evaluates a query on all devices without a cached result. It returns the
// cost of its selectors on one device.
func (inv *Inventory) evaluateQuery(namespace string, q *deviceQuery) (uint64, error) {
	if q.base == nil {
		namespace = ""
	} else if _, err := inv.evaluateQuery("", q.base); err != nil {
		return 0, err
	}
	e, cost, err := inv.newEvaluation(namespace, q)
	if err != nil || e == nil {
		return cost, err
	}
	err = e.run(inv.budgets)
	if cost, costly := inv.finish(e, err == nil); costly != nil || err == nil {
		return cost, costly
	}
	return 0, err
}

// evaluation is a query with the devices to evaluate it on, one for each shape without a
// result.
type evaluation struct {
	query     *deviceQuery
	namespace string
	// spec is the inventory's revision of its slices at the start of the evaluation, revision
	// that of its slices and allocations.
	spec, revision uint64
	seen           map[string]bool
	devices        []shapedDevice
	// results has the results so far, in the order of devices.
	results []evaluated
}

// shapedDevice is a device with its shape (all that the query reads of it) and the result
// of the selectors of the request's DeviceClass.
type shapedDevice struct {
	*device
	shape string
	class matchResult
}

// newEvaluation returns the evaluation that a query needs, nil if it needs none. cost is the
// cost of the query on one device so far.
func (inv *Inventory) newEvaluation(namespace string, q *deviceQuery) (e *evaluation, cost uint64, err error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	switch {
	case q.costly != "":
		return nil, 0, costErrorf("%s", q.costly)
	case q.evaluatedSpec == inv.spec:
		return nil, q.cost, nil
	}
	if err := inv.budgets.check(namespace); err != nil {
		return nil, 0, err
	}
	e = &evaluation{query: q, namespace: namespace, spec: inv.spec, revision: inv.revision, seen: map[string]bool{}}
	if len(q.results) >= q.resultLimit {
		q.forget() // most results are of devices that no longer exist
	}
	looked := 0
	for _, n := range inv.nodes.nodes {
		if n != nil && n.spec > q.evaluatedAt {
			n.refresh(inv.pairMaps)
			e.add(n.devices)
			looked += len(n.devices)
		}
	}
	for _, p := range inAllocatorOrder(inv.multiNode) {
		shared := multiNodeDevices(p)
		e.add(shared)
		looked += len(shared)
	}
	q.resultLimit = max(minMatchResults, 2*inv.deviceCount())
	inv.budgets.charge(namespace, int64(looked/devicesPerUnit))
	return e, 0, nil
}

// add adds the devices whose shape has no result yet.
func (e *evaluation) add(devices []*device) {
	for _, d := range devices {
		shape := e.query.shape(d)
		if _, known := e.query.results[shape]; known || e.seen[shape] {
			continue
		}
		e.seen[shape] = true
		class := matchResult{selects: true}
		if e.query.base != nil {
			class = e.query.base.match(d)
		}
		e.devices = append(e.devices, shapedDevice{device: d, shape: shape, class: class})
	}
}

// run evaluates the devices until one proves a selector too costly. It returns a temporary
// CostError if the namespace has spent its budget before.
func (e *evaluation) run(budgets *budgets) error {
	for len(e.results) < len(e.devices) {
		if err := budgets.check(e.namespace); err != nil {
			return err
		}
		var spent uint64
		for _, d := range e.devices[len(e.results):min(len(e.results)+chunk, len(e.devices))] {
			result := e.query.evaluate(d.device, d.class)
			e.results = append(e.results, result)
			if d.class.selects {
				spent += result.cost + evaluationCost
			}
			if result.costly != "" {
				budgets.charge(e.namespace, int64(spent))
				return nil
			}
		}
		budgets.charge(e.namespace, int64(spent))
	}
	return nil
}

// finish caches the results of an evaluation. whole is true if no result is missing. finish
// returns the cost of the query on one device, and an error if a selector is too costly.
func (inv *Inventory) finish(e *evaluation, whole bool) (uint64, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	q := e.query
	for i := range e.results {
		q.record(e.devices[i].shape, &e.results[i])
	}
	if len(e.results) > 0 {
		inv.queries.trim(inv.deviceCount())
	}
	if q.costly != "" {
		return 0, costErrorf("%s", q.costly)
	}
	if whole {
		q.evaluatedSpec, q.evaluatedAt = e.spec, e.revision
	}
	return q.cost, nil
}

// Affords returns a temporary CostError if the request's selectors are not cheap and the
// namespace has spent its budget. The stock allocator evaluates selectors again in every
// scheduling cycle.
func (inv *Inventory) Affords(namespace string, request *Request) error {
	if request.cost <= cheapDeviceCost {
		return nil
	}
	return inv.budgets.check(namespace)
}

// ChargeAllocation charges the namespace for a search of the stock allocator, which
// evaluates the request's selectors on each device of the node, or of all nodes for "".
// Cheap selectors are free.
func (inv *Inventory) ChargeAllocation(namespace string, request *Request, node string) {
	if request.cost <= cheapDeviceCost {
		return
	}
	inv.mu.Lock()
	devices := 0
	if n := inv.node(node); n != nil {
		devices = len(n.devices)
	} else if node == "" {
		devices = inv.deviceCount()
	}
	inv.mu.Unlock()
	inv.budgets.charge(namespace, int64(request.cost-cheapDeviceCost)*int64(devices))
}
