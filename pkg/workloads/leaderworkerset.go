// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// LeaderWorkerSet says how LeaderWorkerSets are watched and read. Each group of such an
// object is a gang, and the object does not name its groups. A lookup therefore passes the
// key of the gang, which is reported as changed when a missing object appears.
var LeaderWorkerSet = Kind{
	Resource: resourceOf(gangs.LeaderWorkerSetAPIVersion, "leaderworkersets"),
	Name:     "LeaderWorkerSet",
	Key:      gangs.LeaderWorkerSetKey,
	Trim:     trimLeaderWorkerSet,
}

// LeaderWorkerSet implements gangs.LeaderWorkerSets. It returns the LeaderWorkerSet of that
// name, which is shared and must not be changed. If there is none, the watcher reports the
// gang with key asks as changed when one appears.
func (w *Watcher) LeaderWorkerSet(asks gangs.Key, namespace, name string) (*gangs.LeaderWorkerSet, error) {
	return lookup[*gangs.LeaderWorkerSet](w, LeaderWorkerSet, asks, namespace, name)
}

func trimLeaderWorkerSet(u *unstructured.Unstructured) (any, error) {
	set := &gangs.LeaderWorkerSet{ObjectMeta: trimMeta(u)}
	pick := func(spec map[string]any) map[string]any { return pickFields(spec, "startupPolicy") }
	if err := decodeSpec(u, &set.Spec, pick); err != nil {
		return nil, err
	}
	return set, nil
}
