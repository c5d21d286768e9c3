// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Gang is one request: members that start together or not at all.
type Gang struct {
	// Name appears in the sentence that explains a Decision, for example "ml/a".
	Name  string
	Roles []Role
	// Groups are gangs inside the gang, at any depth. A role names its group.
	Groups []Group
	// Min is the fewest members that may run, bound members included. With zero, the
	// minimums of roles and groups decide. Without any minimum all members are needed.
	Min int
	// MinGroups is the fewest top-level groups that must be complete (meet their own
	// minimums). Zero means all.
	MinGroups int
	// Required names a level of the fabric (the topology tree). One domain of this level
	// must hold the whole gang.
	Required string
	// Preferred names a level. One domain of it should hold the whole gang.
	Preferred string
	// RDMA requires that one domain of the finest boundary level (a level whose domains
	// RDMA cannot cross) holds all roles. Role.RDMA requires this of some roles only.
	RDMA bool
	// AntiAffinity, Spread and Affinity list the rules between members.
	AntiAffinity []AntiAffinity
	Spread       []Spread
	Affinity     []Affinity
	// Partitions are divisions of the nodes into domains that AntiAffinity, Spread and
	// Affinity may name in the same way as levels.
	Partitions []Partition
	// Pools are sets of items that exist once, such as volumes. Members take some of them.
	Pools []Pool
	// NodeLimits limit what the members on one node take together, such as the volumes that
	// a storage driver can attach.
	NodeLimits []NodeLimit
	// Conflicts are combinations of members on nodes that the filters have refused.
	Conflicts []Conflict
}

// Group is a gang inside a gang: a CompositePodGroup, or a PodGroup in one.
type Group struct {
	Name string
	// Parent is the enclosing group's name, "" for the gang itself.
	Parent string
	// Min is the fewest members of the group. With zero, its roles' minimums decide.
	Min int
	// MinGroups is the fewest direct child groups that must be complete. Zero means
	// all.
	MinGroups           int
	Required, Preferred string
}

// Role is a set of members of a gang that have the same Need.
type Role struct {
	Name string
	// Group is the group that the role belongs to, "" for the gang itself.
	Group string
	// Min is the fewest members of this role. Zero states no minimum.
	Min     int
	Members []Member
	Need    Need
	// Required names a level: all members of the role must be inside one domain of it.
	// Preferred names a level: they should be inside one domain of it.
	Required, Preferred string
	Slice               Slice
	// RDMA requires that one domain of the finest boundary level (a level whose domains
	// RDMA cannot cross) holds this role and all other roles with RDMA.
	RDMA bool
	// Alternatives names further roles, in order of preference. A pending member of this
	// role may have the need of one of them instead of Need, which is preferred to all. A
	// role named here has a name, a need, RDMA, Nodes and Limit of its own, and nothing
	// else. Rules that name this role hold for all its members, whatever need they have. A
	// conflict counts only the members that have the need of the role that the conflict
	// names.
	Alternatives []string
	// Nodes names the only nodes that pending members of the role may use, nil for all.
	Nodes []string
	// NodesFixed reports that a node which joins the cluster would not be one of Nodes.
	NodesFixed bool
	// Limit is, by node name, the most pending members of the role that may be placed there,
	// by earlier refusals of the filters. 0 excludes the node.
	Limit map[string]int
}

// Slice divides a role into runs of consecutive members that belong together, for example a
// multi-host replica or an NVLink clique.
type Slice struct {
	// Size is the number of members in a slice. Below 2 the role is not sliced.
	Size int
	// Required names a level: each slice must be inside one domain of it, and different
	// slices may be in different domains. Preferred names a level: each slice should be
	// inside one domain of it.
	Required, Preferred string
	// Spread names a level. No two slices may share a domain of it.
	Spread string
}

// Member is one pod of a role.
type Member struct {
	Name string
	// Node is the member's node if it is bound or reserved, "" if it is pending.
	Node string
	// Rank orders the members of a role; equal ranks are ordered by name. If all ranks of
	// a sliced role differ and none is negative, a member is in slice Rank/Size.
	Rank int
}

// Need is the demand of one member on its node.
type Need struct {
	// Resources has amounts by index in Layout.Resources. Missing entries are zero.
	Resources []int64
	// Devices has the anchor (GPUs) first. The others are followers (NICs). A follower is
	// paired if it is in an alignment unit (such as a PCIe root) with anchors of the same
	// member.
	Devices []DeviceNeed
	// Aligned requires that every follower device is paired. Without it, unpaired
	// followers only raise the cost.
	Aligned bool
	// PerNode is the most members with this need on one node, 0 for no limit.
	PerNode int
}

// DeviceNeed is a number of devices, each of any of the given kinds.
type DeviceNeed struct {
	Kinds []int
	Count int
}

// Fits returns true if node accepts one more member of role (an index into Gang.Roles).
// already is how many members of the same role this plan has put there before. The
// planner calls Fits only for nodes that it is about to use, and only for the last member
// of a role on the node. Fits must be monotone: a node that refuses one number of members
// refuses every larger number.
type Fits func(role int, node string, already int) bool

// Options bound the work of a plan.
type Options struct {
	// Budget is the number of search steps. Zero means DefaultBudget.
	Budget int
	// ClearBudget is the number of search steps after which Clear stops looking for cheaper
	// victims (pods to evict). Zero means DefaultClearBudget.
	ClearBudget int
	// Capacity reads a node's total amounts into the given Capacity, whose slices are empty.
	// It returns false if they are unknown. The planner calls it only to explain a failure.
	// Nil means that all capacities are unknown.
	Capacity func(node string, into *Capacity) bool
}

// DefaultBudget is many times the steps of a complete search in a fabric of about ten
// nodes. In a large fabric it ends a search without a result within a tenth of a second.
const DefaultBudget = 1 << 18

// Unlimited is an amount in Capacity that never excludes a node.
const Unlimited = int64(1) << 60

// Capacity has the total amounts of a node, whoever uses them. Amounts may be too high,
// never too low.
type Capacity struct {
	// Resources and Kinds have amounts by index in Layout.Resources and Layout.Kinds.
	// Missing entries are zero.
	Resources, Kinds []int64
}
