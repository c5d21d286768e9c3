// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Classes finds DeviceClasses. The scheduler's SharedDRAManager has the two methods in its
// DeviceClassLister and its DeviceClassResolver.
type Classes interface {
	// Get returns the DeviceClass of that name, or an error if there is none.
	Get(name string) (*resourceapi.DeviceClass, error)
	// GetDeviceClass returns the class of an extended resource, explicit or implicit, or
	// nil.
	GetDeviceClass(resource v1.ResourceName) *resourceapi.DeviceClass
}

// maxOptions is the maximum number of ways to pick one firstAvailable alternative for
// every device request of a pod. A pod with more ways gets a single option, which has for
// each device request the smallest demand among its alternatives. More pods may then seem
// to fit on a node than do; the stock scheduler's Filter plugins refuse those beyond.
const maxOptions = 32

// Request reads a pod's device requests from its claims and from extended resources that
// devices provide. It returns an error that names the claim and request if a DeviceClass
// is missing or a selector does not compile. The error is a CostError if the selectors cost
// too much, also if something else is wrong with a claim.
func (inv *Inventory) Request(pod *v1.Pod, claims []*resourceapi.ResourceClaim, classes Classes) (Request, error) {
	r := requestReader{inv: inv, classes: classes, namespace: pod.Namespace}
	for _, claim := range claims {
		if err := r.claim(pod, claim); err != nil {
			r.fail(fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, err))
		}
	}
	if err := r.extended(pod); err != nil {
		r.fail(err)
	}
	cost, err := inv.evaluateAll(pod.Namespace, r.asked)
	if err != nil {
		return Request{}, err
	}
	if r.err != nil {
		return Request{}, r.err
	}
	r.request.cost = cost
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return r.finish(), nil
}

// requestReader collects one pod's Request from its claims and extended resources.
type requestReader struct {
	inv       *Inventory
	classes   Classes
	namespace string
	request   Request
	// asked has the queries of all requests (what each demands of a device), also of
	// requests for admin access, which take no device: the stock allocator evaluates those,
	// too.
	asked []asked
	// err is the first error. The reader goes on after an error, to read all queries.
	err error
	// parts has the device requests in order, each as the list of its alternatives.
	parts [][]deviceRequest
	// constraints has the matchAttribute constraints. They refer to device requests by
	// index in parts.
	constraints []constraint
}

// fail records an error. A CostError replaces other errors: after another error callers
// leave the pod to the stock allocator, which would evaluate the costly selectors.
func (r *requestReader) fail(err error) {
	var cost *CostError
	if r.err == nil || errors.As(err, &cost) && !errors.As(r.err, &cost) {
		r.err = err
	}
}

// query returns the query for what a request demands of a device. place is the place of the
// request in its claim, for error messages.
func (r *requestReader) query(place string, spec *querySpec) (*deviceQuery, error) {
	q, err := r.inv.query(r.namespace, spec)
	if err == nil {
		r.asked = append(r.asked, asked{deviceQuery: q, place: place})
	}
	return q, err
}

// constraint is a matchAttribute constraint over some device requests of one claim.
type constraint struct {
	attribute string
	// names are the names of device requests in the claim: "request" or
	// "request/alternative". An empty list means all requests of the claim.
	names []string
	// The claim's device requests are parts[first:last].
	first, last int
}

func (r *requestReader) claim(pod *v1.Pod, claim *resourceapi.ResourceClaim) error {
	if allocation := claim.Status.Allocation; allocation != nil {
		if allocation.NodeSelector != nil {
			r.request.Pins = append(r.request.Pins, allocation.NodeSelector)
		}
		return nil
	}
	if claim.Annotations[resourceapi.ExtendedResourceClaimAnnotation] == "true" {
		// The scheduler made this claim for the pod's extended resources in an earlier
		// cycle and will delete it. The extended resources are counted by themselves.
		return nil
	}
	first, least := len(r.parts), 0
	for i := range claim.Spec.Devices.Requests {
		from := &claim.Spec.Devices.Requests[i]
		before := len(r.asked)
		alternatives, err := r.deviceRequest(claim.Name, from)
		for ; before < len(r.asked); before++ {
			r.asked[before].place = fmt.Sprintf("claim %s/%s: request %s%s", claim.Namespace, claim.Name, from.Name, r.asked[before].place)
		}
		if err != nil {
			r.fail(fmt.Errorf("claim %s/%s: request %s: %w", claim.Namespace, claim.Name, from.Name, err))
		}
		if len(alternatives) == 0 {
			continue
		}
		least += leastCount(alternatives)
		r.parts = append(r.parts, alternatives)
	}
	if least > resourceapi.AllocationResultsMaxSize {
		return fmt.Errorf("asks for %d devices, a claim can hold %d", least, resourceapi.AllocationResultsMaxSize)
	}
	for _, c := range claim.Spec.Devices.Constraints {
		if c.MatchAttribute == nil {
			continue
		}
		r.constraints = append(r.constraints, constraint{
			attribute: string(*c.MatchAttribute), names: c.Requests, first: first, last: len(r.parts),
		})
	}
	if !ownedBy(claim, pod) {
		r.request.SharedClaims = append(r.request.SharedClaims, types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name})
	}
	return nil
}

func ownedBy(claim *resourceapi.ResourceClaim, pod *v1.Pod) bool {
	return slices.ContainsFunc(claim.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return owner.UID == pod.UID && owner.Controller != nil && *owner.Controller
	})
}

func leastCount(alternatives []deviceRequest) int {
	least := alternatives[0].count
	for i := range alternatives {
		least = min(least, alternatives[i].count)
	}
	return least
}

// deviceRequest reads one request of a claim as a list of alternatives, often only one.
// The list is empty if the request is for admin access, which takes no device.
func (r *requestReader) deviceRequest(claim string, from *resourceapi.DeviceRequest) ([]deviceRequest, error) {
	name := claim + "/" + from.Name
	switch {
	case from.Exactly != nil:
		exact := from.Exactly
		request, err := r.exact(name, exact.AllocationMode, exact.Count, querySpec{
			selectors: exact.Selectors, tolerations: exact.Tolerations, capacity: exact.Capacity,
		}, exact.DeviceClassName)
		if err != nil || exact.AdminAccess != nil && *exact.AdminAccess {
			return nil, err
		}
		return []deviceRequest{request}, nil
	case len(from.FirstAvailable) > 0:
		return r.firstAvailable(name, from.FirstAvailable)
	}
	return nil, fmt.Errorf("is of a kind that this version does not know")
}

func (r *requestReader) firstAvailable(name string, from []resourceapi.DeviceSubRequest) ([]deviceRequest, error) {
	var alternatives []deviceRequest
	var first error
	r.request.Alternatives = true
	for i := range from {
		sub := &from[i]
		before := len(r.asked)
		request, err := r.exact(name, sub.AllocationMode, sub.Count, querySpec{
			selectors: sub.Selectors, tolerations: sub.Tolerations, capacity: sub.Capacity,
		}, sub.DeviceClassName)
		if before < len(r.asked) {
			r.asked[before].place = ": alternative " + sub.Name
		}
		if err != nil && first == nil {
			first = fmt.Errorf("alternative %s: %w", sub.Name, err)
		}
		request.alternative = sub.Name
		alternatives = append(alternatives, request)
	}
	if first != nil {
		return nil, first
	}
	return alternatives, nil
}

func (r *requestReader) exact(name string, mode resourceapi.DeviceAllocationMode, count int64, spec querySpec, className string) (deviceRequest, error) {
	class, err := r.classes.Get(className)
	if apierrors.IsNotFound(err) {
		return deviceRequest{}, fmt.Errorf("DeviceClass %s does not exist", className)
	}
	if err != nil {
		return deviceRequest{}, fmt.Errorf("device class %q: %w", className, err)
	}
	spec.class = class
	q, err := r.query("", &spec)
	if err != nil {
		return deviceRequest{}, err
	}
	request := deviceRequest{name: name, queries: []*deviceQuery{q}, all: mode == resourceapi.DeviceAllocationModeAll}
	switch {
	case request.all:
	case mode != resourceapi.DeviceAllocationModeExactCount && mode != "":
		return deviceRequest{}, fmt.Errorf("allocation mode %q is not known", mode)
	case count > resourceapi.AllocationResultsMaxSize:
		return deviceRequest{}, fmt.Errorf("asks for %d devices, a claim can hold %d", count, resourceapi.AllocationResultsMaxSize)
	default:
		request.count = max(int(count), 1)
	}
	return request, nil
}

// extended adds the pod's extended resources that have a DeviceClass as device requests.
// Nodes with a device plugin for the resource use the plugin. On all other nodes the
// scheduler allocates devices.
func (r *requestReader) extended(pod *v1.Pod) error {
	for _, name := range extendedNames(pod) {
		class := r.classes.GetDeviceClass(name)
		if class == nil {
			continue
		}
		count := extendedCount(pod, name)
		if count <= 0 {
			continue
		}
		q, err := r.query("extended resource "+string(name), &querySpec{class: class})
		if err != nil {
			return err
		}
		if r.request.Extended == nil {
			r.request.Extended = map[v1.ResourceName]int64{}
		}
		r.request.Extended[name] = count
		r.parts = append(r.parts, []deviceRequest{{name: string(name), queries: []*deviceQuery{q}, count: int(count), plugin: name}})
	}
	return nil
}

// finish turns the device requests and constraints into options: the ways to meet all of
// them. It sets the other results that depend on them, too.
func (r *requestReader) finish() Request {
	if len(r.parts) == 0 {
		return r.request
	}
	combinations := 1
	for i, part := range r.parts {
		r.parts[i] = r.merge(part, i)
		combinations = min(combinations*len(r.parts[i]), maxOptions+1)
	}
	spelledOut := r.parts
	r.parts = make([][]deviceRequest, len(spelledOut))
	for i, part := range spelledOut {
		r.parts[i] = relax(part)
	}
	r.options(nil)
	r.request.relaxed = r.request.options[0]
	if combinations <= maxOptions {
		r.parts, r.request.options = spelledOut, nil
		r.options(nil)
	}
	r.request.Key = optionsKey(r.request.options)
	r.request.RDMA = slices.ContainsFunc(r.parts, func(part []deviceRequest) bool {
		return !slices.ContainsFunc(part, func(request deviceRequest) bool {
			return slices.ContainsFunc(request.queries, func(q *deviceQuery) bool { return !r.inv.selectsOnlyRDMA(q) })
		})
	})
	return r.request
}

// merge returns the alternatives of a device request as one alternative if each is for
// one device: any device that satisfies one of them then meets the request. index is the
// request's index in parts.
func (r *requestReader) merge(part []deviceRequest, index int) []deviceRequest {
	for i := range part {
		if part[i].count != 1 || part[i].all {
			return part
		}
	}
	for _, c := range r.constraints {
		if index >= c.first && index < c.last && slices.ContainsFunc(c.names, isAlternative) {
			return part
		}
	}
	return relax(part)
}

func isAlternative(name string) bool { return strings.Contains(name, "/") }

// relax replaces the alternatives of a device request with a single one that is met
// whenever one of them is met.
func relax(part []deviceRequest) []deviceRequest {
	if len(part) <= 1 {
		return part
	}
	request := deviceRequest{name: part[0].name, count: leastCount(part), plugin: part[0].plugin}
	for i := range part {
		if part[i].all {
			request.count = 1
		}
		request.queries = append(request.queries, part[i].queries...)
	}
	return []deviceRequest{request}
}

// options adds an option to the request for every combination of alternatives, in the
// claims' order of preference. chosen has the alternatives chosen so far.
func (r *requestReader) options(chosen []deviceRequest) {
	if len(chosen) == len(r.parts) {
		option := requestOption{requests: slices.Clone(chosen)}
		for _, c := range r.constraints {
			if g := c.over(option.requests); len(g.requests) > 1 || len(g.requests) == 1 && option.requests[g.requests[0]].count > 1 {
				option.groups = append(option.groups, g)
			}
		}
		r.request.options = append(r.request.options, option)
		return
	}
	for _, request := range r.parts[len(chosen)] {
		r.options(append(chosen, request))
	}
}

// over returns the constraint for an option: the indices of those requests of the option
// to which it applies.
func (c *constraint) over(requests []deviceRequest) group {
	g := group{attribute: c.attribute}
	for i := c.first; i < c.last; i++ {
		_, name, _ := strings.Cut(requests[i].name, "/")
		if len(c.names) == 0 || slices.Contains(c.names, name) || slices.Contains(c.names, name+"/"+requests[i].alternative) {
			g.requests = append(g.requests, i)
		}
	}
	return g
}
