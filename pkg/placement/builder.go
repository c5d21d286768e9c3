// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"errors"
	"slices"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/devices"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// planInput is a gang in the planner's types, with what is needed to convert the answer.
type planInput struct {
	// gang has every field but Roles: these are in roles until the planner runs.
	gang  plan.Gang
	roles []roleInput
	// pending maps the name of each member without a node to its pod.
	pending   map[string]*v1.Pod
	alignment gangs.Alignment
	// zones are the sets of nodes that can use the devices of one shared claim. colocated
	// has the shared claims whose devices only one node can use, which keep members on
	// one node.
	zones     claimZones
	colocated []string
	// exclusive is the end of the sentence that refuses the gang: it names the claims that
	// only one pod can use at a time.
	exclusive string
	// roleOfGroup maps a group of the planner to the gang's role that it replaces. The
	// members of such a role differ, so the planner has several roles for them. The group
	// holds these roles and has the minimum of the replaced role.
	roleOfGroup map[string]string
	// cache has the names of the resources and devices that the roles need.
	cache *cluster.Cache
	// conflictsKept is true if gang.Conflicts has all of Request.Conflicts (combinations of
	// members and nodes that filters have refused).
	conflictsKept bool
}

// planGang returns the gang with its roles, as the planner takes it.
func (p *planInput) planGang() plan.Gang {
	gang := p.gang
	for i := range p.roles {
		gang.Roles = append(gang.Roles, p.roles[i].Role)
	}
	return gang
}

// builder converts one request to a planInput, the gang in the planner's types.
type builder struct {
	planInput
	request *gangs.Request
	// repelling are the nodes with pods that have required anti-affinity.
	nodes, repelling []fwk.NodeInfo
	volumes          *volumeReader
	terms            *podTerms
}

// build converts a request to the planner's types. It returns a refusal if the gang's
// alignment (how close GPUs and NICs must be to each other), or what a member needs,
// cannot be understood. repelling are at least the nodes with pods that have required
// anti-affinity.
func build(request *gangs.Request, cache *cluster.Cache, nodes, repelling []fwk.NodeInfo, objects objects) (*planInput, *Outcome) {
	key := request.Gang.Key
	alignment, err := gangs.ParseAlignment(request.Gang.Topology.Alignment, key.String())
	if err != nil {
		return nil, &Outcome{Refusal: err.Error()}
	}
	request = signed(request)
	b := &builder{
		planInput: planInput{cache: cache}, request: request, nodes: nodes, repelling: repelling,
		volumes: readVolumes(objects.volumes, request, nodes), terms: readPodTerms(request, objects.namespaces),
	}
	b.alignment = alignment
	// 1. Read the gang's topology constraints, its roles, and its members without a node.
	b.readGang()
	// 2. Members of a role that differ become roles of their own. If all members of a role
	// share a claim, one of them becomes a role of its own, which needs the claim's
	// devices.
	shared, claims := findSharedClaims(request, b.roles, cache)
	b.roles = b.splitter().splitRoles(b.roles, shared)
	b.roles = splitClaimOwners(b.roles, shared, claims)
	// 3. Read what a member of each role needs, and what each shared claim needs.
	needs, err := cache.Read(b.podsToRead(claims))
	if err != nil {
		return nil, invalid(key, err)
	}
	own, ofClaims := needs[:len(b.roles)], needs[len(b.roles):]
	if err := b.setNeeds(own); err != nil {
		return nil, invalid(key, err)
	}
	// 4. Set which nodes the members may use, and the rules between members.
	limitNodes(b.roles, b.volumes, nodes)
	b.gang.Pools = append(b.volumes.pools(b.roles, nodes), b.volumes.exclusivePools(b.roles)...)
	b.exclusive = b.volumes.describeExclusive()
	b.gang.NodeLimits = b.volumes.nodeLimits(b.roles)
	rules := ruleWriter{roles: b.roles, terms: b.terms, cache: cache, nodes: nodes, gang: &b.gang}
	rules.write()
	rules.addJointClaims(b.volumes)
	// 5. Add a role for each alternative (firstAvailable) among the members' requests.
	b.addAlternatives(own)
	// 6. Keep the members with shared claims on nodes that can use the claims' devices.
	b.confine(claims, func(i int) devices.Reach { return cache.Reach(&ofClaims[i]) })
	// 7. Exclude what filters have refused in earlier attempts.
	b.addConflicts()
	return &b.planInput, nil
}

// invalid returns the refusal of a gang because of an error in what a member needs. The
// refusal is temporary if a namespace has spent its budget for CEL selectors.
func invalid(key gangs.Key, err error) *Outcome {
	var cost *devices.CostError
	return &Outcome{Refusal: key.Messagef("%v", err), Temporary: errors.As(err, &cost) && cost.Temporary}
}

func (b *builder) splitter() *splitter {
	b.roleOfGroup = map[string]string{}
	return &splitter{
		request: b.request, cache: b.cache, volumes: b.volumes, terms: b.terms, running: readRunningTerms(b.repelling),
		gang: &b.gang, roleOfGroup: b.roleOfGroup,
	}
}

// readGang reads the topology constraints, roles and pending members of the request. It
// reads no claims.
func (b *builder) readGang() {
	wishes := newConstraints(b.request.Gang, b.cache)
	b.gang = plan.Gang{
		Name: b.request.Gang.Key.String(), Required: wishes.required, Preferred: wishes.preferred,
		Groups: wishes.groups, MinGroups: wishes.minGroups,
	}
	b.roles = rolesOf(b.request, wishes.inner)
	if len(b.request.Gang.Groups) == 0 {
		for i := range b.roles {
			b.gang.Min += b.roles[i].Min
		}
	}
	b.pending = map[string]*v1.Pod{}
	for _, m := range b.request.Members {
		if b.request.Placed[m.Pod.UID] == "" {
			b.pending[m.Pod.Name] = m.Pod
		}
	}
}

// podsToRead returns a pod for each role, followed by a pod for each shared claim.
func (b *builder) podsToRead(claims []sharedClaim) []*v1.Pod {
	pods := make([]*v1.Pod, 0, len(b.roles)+len(claims))
	for i := range b.roles {
		pods = append(pods, b.roles[i].needs)
	}
	for _, claim := range claims {
		pods = append(pods, podWithClaim(b.request.Gang.Key.Namespace, claim.name))
	}
	return pods
}

// setNeeds sets what each role's members need of a node. If claims of a member already have
// devices, it sets the member's node.
func (b *builder) setNeeds(needs []cluster.PodNeed) error {
	for i := range b.roles {
		role := &b.roles[i]
		needs[i].ApplyGangAlignment(b.alignment)
		role.Need, role.RDMA = needs[i].Need, needs[i].RDMA
		if err := b.pin(role); err != nil {
			return err
		}
	}
	return nil
}

// pin sets the node of each member of a role whose claims already have devices of a node.
func (b *builder) pin(role *roleInput) error {
	for i := range role.Members {
		pod := b.pending[role.Members[i].Name]
		if pod == nil {
			continue
		}
		node, err := b.cache.Pinned(pod, b.nodes)
		if err != nil {
			return err
		}
		role.Members[i].Node = node
	}
	return nil
}

// confine keeps the members with a shared claim on nodes that can use the claim's
// devices. reach returns these nodes for a claim, given its index. Among claims with
// devices for several nodes only the first is planned for. The stock filters check the
// others.
func (p *planInput) confine(claims []sharedClaim, reach func(claim int) devices.Reach) {
	var colocations []colocation
	for i, claim := range claims {
		switch where := reach(i); {
		case where.OneNode:
			colocations = merge(colocations, claim)
		case p.zones.claim == "" && limiting(where.NodeSets):
			p.zones = newClaimZones(claim, where.NodeSets, p.roles)
		}
	}
	for i := range colocations {
		if colocations[i].apply(&p.gang, p.roles) {
			p.colocated = append(p.colocated, colocations[i].claims...)
		}
	}
	slices.Sort(p.colocated)
}
