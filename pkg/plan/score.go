// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// MaxScore is the best score of a node.
const MaxScore = 100

// NoFit is the score of a node that is unknown or has no room for the pod, by counts of
// resources and devices, and of every node if the need is invalid.
const NoFit = -1

// Score rates a node for one pod outside any gang, from 0 to MaxScore, or NoFit. As for a
// gang, it prefers first follower devices (NICs) in alignment units (such as PCIe roots)
// with anchors (GPUs), then little room left in the node and in each domain (such as a
// rack) around it. This keeps free nodes and free domains whole for gangs. Score allocates
// nothing once the snapshot has counted the need.
func Score(s *Snapshot, need Need, node string) int64 {
	r, _, err := s.rollup(&need)
	if err != nil {
		return NoFit
	}
	return (&Scorer{s, r}).Score(node)
}

// Scorer computes Score for many nodes and one need.
type Scorer struct {
	snap *Snapshot
	roll *rollup
}

// Scorer counts how many pods with the need fit on each node, once. It returns an error
// if the need is invalid.
func (s *Snapshot) Scorer(need Need) (*Scorer, error) {
	r, _, err := s.rollup(&need)
	if err != nil {
		return nil, err
	}
	return &Scorer{s, r}, nil
}

// Score rates a node in the same way as the function Score.
func (c *Scorer) Score(node string) int64 {
	pos, ok := c.snap.fabric.pos(node)
	if !ok || c.roll.slots.at(pos) == 0 {
		return NoFit
	}
	// The node weighs half of the pairing of followers with anchors, and each level half of
	// the next finer one. Pairing therefore outweighs the node and all levels together. Each
	// term has values from 0 to scoreUnit.
	weight := int64(1) << (c.snap.fabric.levels + 1)
	sum, total := weight*c.paired(pos), weight
	for d := c.snap.fabric.levels + 1; d > 0; d-- {
		weight /= 2
		sum += weight * c.tight(d, pos)
		total += weight
	}
	return MaxScore * sum / (total * scoreUnit)
}

const scoreUnit = 1024

// paired returns the share of follower devices (NICs) of one pod that are in units with
// its anchors (GPUs) on the node at pos. scoreUnit means all.
func (c *Scorer) paired(pos int32) int64 {
	if c.roll.clean.at(pos) > 0 {
		return scoreUnit
	}
	sh := c.roll.shape
	var followers int64
	for i := range sh.pairs {
		followers += sh.pairs[i].count
	}
	return scoreUnit * (followers - sh.unpaired(c.snap.class(pos), 1)) / followers
}

// tight rates how little room for pods with the need there is in a domain: the domain of
// this depth with the node at pos. It compares the domain with the one of this depth that
// has the most room. The result is from 0, for as much room, to scoreUnit, for no room.
func (c *Scorer) tight(depth int, pos int32) int64 {
	room, top := int64(c.roll.slots.at(pos)), int64(c.roll.most[0][0])
	if depth <= c.snap.fabric.levels {
		room, top = c.roll.sum[depth][c.snap.fabric.at(depth, pos)], c.roll.top[depth]
	}
	return scoreUnit - scoreUnit*room/top
}
