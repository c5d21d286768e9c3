// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package harm

// ways are all ways, by theme.
var ways = []way{
	{"no attack", func(*attacker) {}},

	{"selectors at the API server's cost limit", costlySelectors},
	{"a different selector in each claim", differentSelectors},
	{"a megabyte of selectors in each claim", longSelectors},
	{"selectors that fail on every device", failingSelectors},

	{"a different request in each claim", differentRequests},
	{"claims whose search tries all combinations", exhaustiveSearch},
	{"gangs whose search tries all combinations", exhaustiveGangs},
	{"claims with 64 alternatives", manyAlternatives},
	{"a claim of very many pods", sharedClaim},
	{"claims that come and go", churnedClaims},
	{"pods whose claims do not exist", missingClaims},

	{"gangs that lack a member", incompleteGangs},
	{"gangs larger than the cluster", impossibleGangs},
	{"gangs that need every node, which wait", wholeClusterGangs},
	{"minimums beyond all numbers", enormousMinimums},
	{"a gang of members that all differ", differingMembers},
	{"gangs that come and go", churnedGangs},
	{"PodGroups that change every 100 ms", changingPodGroups},
	{"gangs with the names of the victim's", namesakes},

	{"misspelt annotations", misspeltAnnotations},
	{"annotations and labels of 200 kB", hugeAnnotations},
	{"a different topology level in each gang", differentLevels},
	{"owners that do not exist", falseOwners},
	{"Jobs in a chain of owners", chainedOwners},

	{"gang members with 500 affinity terms", affinityTerms},
	{"spread constraints over unknown keys", unknownSpread},
	{"node selectors that match nothing", unmatchedSelectors},
	{"a different extended resource in each pod", differentResources},
	{"a different shape in each pod", differentShapes},
	{"pods with 100 host ports", hostPorts},
	{"volumes that are never provisioned", unprovisionedVolumes},

	{"pods that come and go", churnedPods},
	{"scheduling gates that come and go", churnedGates},
	{"pending pods that change all the time", changingPods},
}
