// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangs_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

func TestTrapLWSLeaderReady(t *testing.T) {
	o := objects{lws: with("a", lws("LeaderReady"))}
	play(t, map[string]scene{
		"the leader starts without workers": {
			objects: o,
			pods:    lwsPods(1),
			want:    outlook{Key: "leaderworkerset ml/a-0", Starts: map[string]int{"leader": 1}, Must: 1},
		},
		"the workers start together": {
			objects: o,
			pods:    []*corev1.Pod{lwsPod(0, bound), lwsPod(1), lwsPod(2), lwsPod(3)},
			want:    outlook{Key: "leaderworkerset ml/a-0", Starts: map[string]int{"worker": 3}, Must: 3},
		},
		"and not one by one": {
			objects: o,
			pods:    []*corev1.Pod{lwsPod(0, bound), lwsPod(1), lwsPod(2)},
			want:    outlook{Key: "leaderworkerset ml/a-0", Says: "waiting for 1 of 3 members of role worker of leaderworkerset ml/a-0, which start together"},
		},
		"under the usual policy the leader waits for its workers": {
			objects: objects{lws: with("a", lws("LeaderCreated"))},
			pods:    lwsPods(1),
			want:    outlook{Key: "leaderworkerset ml/a-0", Says: "waiting for 3 of 4 members of leaderworkerset ml/a-0: 3 of role worker do not exist yet"},
		},
		"and all start together": {
			objects: objects{}, // the pods carry everything needed
			pods:    lwsPods(4),
			want:    outlook{Key: "leaderworkerset ml/a-0", Starts: map[string]int{"leader": 1, "worker": 3}, Must: 4},
		},
		"as long as the policy cannot be read nobody starts": {
			objects: objects{failure: func(key gangs.Key) error {
				return &gangs.LookupError{Key: key, Reason: gangs.ErrNotRead, Detail: "its kind is being listed", Listing: true}
			}},
			pods: lwsPods(1),
			want: outlook{Key: "leaderworkerset ml/a-0", Says: "leaderworkerset ml/a could not be read so far: its kind is being listed"},
		},
	})
}

func TestTrapLWSExclusiveTopology(t *testing.T) {
	exclusive := annotation("leaderworkerset.sigs.k8s.io/exclusive-topology", "rack")
	play(t, map[string]scene{
		"workers are made for the leader's node, so it starts alone": {
			pods: lwsPods(1, exclusive),
			want: outlook{Key: "leaderworkerset ml/a-0", Starts: map[string]int{"leader": 1}, Must: 1},
		},
		"and they together": {
			pods: []*corev1.Pod{lwsPod(0, exclusive, bound), lwsPod(1, exclusive), lwsPod(2, exclusive), lwsPod(3, exclusive)},
			want: outlook{Key: "leaderworkerset ml/a-0", Starts: map[string]int{"worker": 3}, Must: 3},
		},
	})
}
