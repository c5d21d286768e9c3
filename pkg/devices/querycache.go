// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import "cmp"

const (
	// maxNamespaceQueries is how many queries (what a request demands of each device) one
	// namespace may add to the cache. The cache then drops the namespace's least recently
	// used query, so many selectors in one namespace do not displace the queries of others.
	maxNamespaceQueries = maxPodQueries
	// maxQueries is how many queries are cached for all namespaces.
	maxQueries = 512
	// minCachedResults is how many results (whether a device satisfies the query) all
	// queries together may cache in any cluster. In a large cluster they may cache
	// resultsPerDevice for each device.
	minCachedResults, resultsPerDevice = 1 << 18, 8
)

// queryCache has the compiled queries by key. It is bounded: it drops the least recently
// used query of a namespace with too many, or, if all queries together are too many or have
// too many results, of the namespace with the most.
type queryCache struct {
	byKey map[string]*cachedQuery
	uses  uint64
}

// cachedQuery is a query, the namespace that added it ("" if all selectors are those of a
// DeviceClass), and the number of its last use.
type cachedQuery struct {
	*deviceQuery
	owner string
	used  uint64
}

func newQueryCache() queryCache { return queryCache{byKey: map[string]*cachedQuery{}} }

// get returns the query with the key, nil if it is not cached.
func (c *queryCache) get(key string) *deviceQuery {
	cached := c.byKey[key]
	if cached == nil {
		return nil
	}
	c.uses++
	cached.used = c.uses
	return cached.deviceQuery
}

// add caches a query and returns it. If a query with an equal key is cached, add returns
// that one instead.
func (c *queryCache) add(q *deviceQuery, owner string) *deviceQuery {
	if before := c.get(q.key); before != nil {
		return before
	}
	c.uses++
	c.byKey[q.key] = &cachedQuery{deviceQuery: q, owner: owner, used: c.uses}
	if owner != "" && c.count(owner) > maxNamespaceQueries {
		c.drop(owner)
	}
	if len(c.byKey) > maxQueries {
		c.drop(c.largest(func(*cachedQuery) int { return 1 }))
	}
	return q
}

// trim drops queries until the number of cached results is within the limit for a cluster
// with this number of devices, or only one query is left.
func (c *queryCache) trim(devices int) {
	results := 0
	for _, q := range c.byKey {
		results += len(q.results)
	}
	for limit := max(minCachedResults, resultsPerDevice*devices); results > limit && len(c.byKey) > 1; {
		results -= c.drop(c.largest(func(q *cachedQuery) int { return len(q.results) }))
	}
}

func (c *queryCache) count(owner string) int {
	n := 0
	for _, q := range c.byKey {
		if q.owner == owner {
			n++
		}
	}
	return n
}

// largest returns the owner (namespace) whose queries have the largest sum of sizes.
func (c *queryCache) largest(size func(*cachedQuery) int) string {
	sums := map[string]int{}
	for _, q := range c.byKey {
		sums[q.owner] += size(q)
	}
	largest, found := "", false
	for owner, sum := range sums {
		if !found || cmp.Or(cmp.Compare(sum, sums[largest]), cmp.Compare(largest, owner)) > 0 {
			largest, found = owner, true
		}
	}
	return largest
}

// drop removes the least recently used query of the owner and returns the number of its
// results. Requests that hold the query keep it.
func (c *queryCache) drop(owner string) int {
	var oldest *cachedQuery
	for _, q := range c.byKey {
		if q.owner == owner && (oldest == nil || q.used < oldest.used) {
			oldest = q
		}
	}
	if oldest == nil {
		return 0
	}
	delete(c.byKey, oldest.key)
	return len(oldest.results)
}
