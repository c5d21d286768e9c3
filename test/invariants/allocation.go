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
	j.recordAllocation(known, was, now)
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
// another claim holds, unless the former state of this claim held it too.
func (j *judge) recordAllocation(c *claim, was *resourceapi.ResourceClaim, now time.Time) {
	key := claimKey{c.object.Namespace, c.object.Name}
	for _, result := range results(c.object) {
		if result.AdminAccess != nil && *result.AdminAccess {
			continue
		}
		device := deviceOf(result)
		mine := deviceUse{claim: key, shared: result.ShareID != nil, since: c.allocated}
		for _, other := range j.deviceUses[device] {
			if (!mine.shared || !other.shared) && !hadDevice(was, device) {
				j.reportTwice(device, mine, other, now)
			}
		}
		j.deviceUses[device] = append(j.deviceUses[device], mine)
	}
}

func (j *judge) reportTwice(device deviceID, mine, other deviceUse, now time.Time) {
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

// sliceChanged handles an event of the ResourceSlice watch.
func (j *judge) sliceChanged(was, is *resourceapi.ResourceSlice, _ time.Time) {
	if was != nil {
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
