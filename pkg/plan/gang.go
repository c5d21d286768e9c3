// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Gang is one request: members that start together or not at all.
type Gang struct {
	// Name appears in the Decision's sentence, for example "ml/a".
	Name  string
	Roles []Role
	// Groups are gangs inside the gang, any depth. A role names its group.
	Groups []Group
	// Min is the fewest members, bound ones included, that may run. Zero means
	// what roles and groups ask for, and all members when none asks.
	Min int
	// MinGroups is the fewest top-level groups that must be complete; zero
	// means all of them.
	MinGroups int
	// Required names the level of which one domain must hold the whole gang.
	Required string
	// Preferred names the level of which one domain should hold it.
	Preferred string
	// RDMA makes boundary levels hard for every role; Role.RDMA for one role.
	RDMA bool
}

// Group is a gang inside a gang (a CompositePodGroup or a PodGroup in one).
type Group struct {
	Name string
	// Parent is the enclosing group's name, "" for the gang itself.
	Parent string
	// Min is the fewest members in it; zero leaves that to its roles.
	Min int
	// MinGroups is the fewest direct child groups that must be complete; zero
	// means all of them.
	MinGroups           int
	Required, Preferred string
}

// Role is the members of a gang that have the same shape.
type Role struct {
	Name string
	// Group is the group that the role belongs to, "" for the gang itself.
	Group string
	// Min is the fewest members of this role; zero asks for none of its own.
	Min     int
	Members []Member
	Need    Need
	// Required and Preferred name levels for the members of this role.
	Required, Preferred string
	Slice               Slice
	// RDMA makes boundary levels hard among this role and the other RDMA roles.
	RDMA bool
	// Limit learned from refusals: at most this many of the role's pending
	// members on the node; 0 avoids it.
	Limit map[string]int
}

// Slice cuts a role into runs of consecutive members (a multi-host replica, an
// NVLink clique) that belong together.
type Slice struct {
	// Size is the members in a slice; below 2 the role is not sliced.
	Size int
	// Required and Preferred name levels for each slice.
	Required, Preferred string
	// Spread names a level of which no two slices may share a domain.
	Spread string
}

// Member is one pod of a role.
type Member struct {
	Name string
	// Node is where the member is bound or reserved, "" when it is to be placed.
	Node string
	// Rank orders the members of a role before their names do. When all ranks
	// of a sliced role differ, a member is in slice Rank/Size.
	Rank int
}

// Need is what one member asks of its node.
type Need struct {
	// Resources by resource index; missing entries are zero.
	Resources []int64
	// Devices: the first is the anchor (GPUs), the others (NICs) want to share
	// its units.
	Devices []DeviceNeed
	// Aligned makes full pairing hard; otherwise it is a cost.
	Aligned bool
}

// DeviceNeed asks for devices, each of any of the given kinds.
type DeviceNeed struct {
	Kinds []int
	Count int
}

// Fits is asked, only for nodes about to be used, whether one more member of
// role (an index into Gang.Roles) fits node when this plan has already put
// that many members of the same role there. It must be monotone: refused once,
// refused for more. It is asked for the last member of a node only.
type Fits func(role int, node string, already int) bool

// Options bound the work.
type Options struct {
	// Budget is the number of search steps; zero takes DefaultBudget.
	Budget int
}

// DefaultBudget is many times what any fabric of about ten nodes takes to be
// searched through, and keeps a fruitless search in a large one below a tenth of
// a second.
const DefaultBudget = 1 << 18
