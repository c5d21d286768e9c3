// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
)

// claimChanged handles an event of the claim watch. It checks for devices that are
// allocated twice at once: the watch delivers the writes of claims in order.
func (j *judge) claimChanged(was, is *resourceapi.ResourceClaim, now time.Time) {
	if was != nil {
		j.releaseDevices(was)
	}
	if is == nil {
		delete(j.claims, claimKey{was.Namespace, was.Name})
		return
	}
	key := claimKey{is.Namespace, is.Name}
	known := j.claims[key]
	if known == nil || known.object.UID != is.UID {
		known = &claim{}
		j.claims[key] = known
	}
	switch {
	case is.Status.Allocation == nil:
		known.allocated = time.Time{}
	case known.allocated.IsZero():
		known.allocated = now
	}
	known.object = is
	j.recordAllocation(known, now)
}

// releaseDevices removes the devices of a claim's former state.
func (j *judge) releaseDevices(was *resourceapi.ResourceClaim) {
	key := claimKey{was.Namespace, was.Name}
	for _, result := range results(was) {
		device := deviceOf(result)
		j.deviceUses[device] = slices.DeleteFunc(j.deviceUses[device], func(u deviceUse) bool { return u.claim == key })
		if len(j.deviceUses[device]) == 0 {
			delete(j.deviceUses, device)
		}
	}
}

// recordAllocation adds the devices of a claim's present state. It reports a device that
// another claim holds. During a list it does not judge, because the states of the other claims
// may be older.
func (j *judge) recordAllocation(c *claim, now time.Time) {
	key := claimKey{c.object.Namespace, c.object.Name}
	for _, result := range results(c.object) {
		if result.AdminAccess != nil && *result.AdminAccess {
			continue
		}
		device := deviceOf(result)
		j.deviceUses[device] = append(j.deviceUses[device], deviceUse{claim: key, shared: result.ShareID != nil, since: c.allocated})
		if !j.listing {
			j.judgeDevice(device, now)
		}
	}
}

// listed judges all devices at the end of a complete list of claims or of another kind.
func (j *judge) listed(now time.Time) {
	for device := range j.deviceUses {
		j.judgeDevice(device, now)
	}
}

// judgeDevice reports each pair of claims that have the same device, unless both share it.
func (j *judge) judgeDevice(device deviceID, now time.Time) {
	uses := j.deviceUses[device]
	for i, mine := range uses {
		for _, other := range uses[:i] {
			if !mine.shared || !other.shared {
				j.reportTwice(device, mine, other, now)
			}
		}
	}
}

// reportTwice reports a pair of claims once.
func (j *judge) reportTwice(device deviceID, mine, other deviceUse, now time.Time) {
	pair := fmt.Sprint(device, min(mine.claim.String(), other.claim.String()), max(mine.claim.String(), other.claim.String()))
	if j.twice.Has(pair) {
		return
	}
	j.twice.Insert(pair)
	j.report(NothingTwice, now, fmt.Sprintf("device %s is allocated to claim %s and to claim %s", device, other.claim, mine.claim), []string{
		fmt.Sprintf("claim %s: allocated at %s, %s", other.claim, formatTime(other.since), j.reservation(other.claim)),
		fmt.Sprintf("claim %s: allocated at %s, %s", mine.claim, formatTime(mine.since), j.reservation(mine.claim)),
	})
}

func (j *judge) reservation(key claimKey) string {
	var names []string
	if c := j.claims[key]; c != nil {
		for _, consumer := range c.object.Status.ReservedFor {
			names = append(names, consumer.Name)
		}
	}
	if len(names) == 0 {
		return "not reserved"
	}
	return "reserved for " + joinWords(names)
}

// goneSlice is a ResourceSlice that was deleted or replaced at a time.
type goneSlice struct {
	slice *resourceapi.ResourceSlice
	at    time.Time
}

// sliceChanged handles an event of the ResourceSlice watch.
func (j *judge) sliceChanged(was, is *resourceapi.ResourceSlice, now time.Time) {
	if was != nil {
		j.goneSlices = append(j.goneSlices, goneSlice{slice: was, at: now})
		delete(j.publishedSlices[poolOf(was)], was.UID)
	}
	if is == nil {
		return
	}
	if j.publishedSlices[poolOf(is)] == nil {
		j.publishedSlices[poolOf(is)] = map[types.UID]*resourceapi.ResourceSlice{}
	}
	j.publishedSlices[poolOf(is)][is.UID] = is
}
