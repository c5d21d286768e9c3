// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"fmt"

	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	resourcelisters "k8s.io/client-go/listers/resource/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/features"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// published reads ResourceSlices and DeviceTaintRules from the scheduler's informers.
type published struct {
	slices resourcelisters.ResourceSliceLister
	// rules is nil if the scheduler does not watch DeviceTaintRules.
	rules   resourcelisters.DeviceTaintRuleLister
	telling []cache.ResourceEventHandlerRegistration
}

var _ cluster.Published = (*published)(nil)

// follow registers event handlers that pass every changed slice and claim to devices, the
// counts of free devices. whole reports whether every allocator of devices in the process
// notifies these counts: if not, the counts cannot rely on events.
func follow(devices *cluster.Devices, factory informers.SharedInformerFactory, whole func() bool) error {
	api := factory.Resource().V1()
	p := &published{slices: api.ResourceSlices().Lister()}
	if utilfeature.DefaultFeatureGate.Enabled(features.DRADeviceTaintRules) {
		p.rules = api.DeviceTaintRules().Lister()
		// The handler is empty: only the store is read, but the informer must be synced.
		if err := p.hear(api.DeviceTaintRules().Informer(), cache.ResourceEventHandlerFuncs{}); err != nil {
			return fmt.Errorf("DeviceTaintRules: %w", err)
		}
	}
	if err := p.hear(api.ResourceSlices().Informer(), slicesTo(devices)); err != nil {
		return fmt.Errorf("ResourceSlices: %w", err)
	}
	if err := p.hear(api.ResourceClaims().Informer(), claimsTo(devices)); err != nil {
		return fmt.Errorf("ResourceClaims: %w", err)
	}
	devices.Follow(p, whole)
	return nil
}

func (p *published) hear(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) error {
	telling, err := informer.AddEventHandler(handler)
	if err != nil {
		return err
	}
	p.telling = append(p.telling, telling)
	return nil
}

func slicesTo(devices *cluster.Devices) cache.ResourceEventHandler {
	changed := func(obj any) {
		if slice, ok := last(obj).(*resourceapi.ResourceSlice); ok {
			devices.SliceChanged(slice.Name)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
		DeleteFunc: changed,
	}
}

func claimsTo(devices *cluster.Devices) cache.ResourceEventHandler {
	return claimHandler(devices.ClaimChanged, devices.ClaimDeleted)
}

// claimHandler returns an event handler that calls changed with each new state of a claim,
// and gone with the last state of a deleted one.
func claimHandler(changed, gone func(*resourceapi.ResourceClaim)) cache.ResourceEventHandler {
	onChange := func(obj any) {
		if claim, ok := obj.(*resourceapi.ResourceClaim); ok {
			changed(claim)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: onChange,
		UpdateFunc: func(oldObj, obj any) {
			before, ok := oldObj.(*resourceapi.ResourceClaim)
			if after, isClaim := obj.(*resourceapi.ResourceClaim); ok && isClaim && before.UID != after.UID {
				gone(before) // recreated while the watch was broken
			}
			onChange(obj)
		},
		DeleteFunc: func(obj any) {
			if claim, ok := last(obj).(*resourceapi.ResourceClaim); ok {
				gone(claim)
			}
		},
	}
}

// last returns the last known state of a deleted object. It returns other objects as they
// are.
func last(obj any) any {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return obj
}

// Slice returns the slice with that name, nil if there is none.
func (p *published) Slice(name string) (*resourceapi.ResourceSlice, error) {
	slice, err := p.slices.Get(name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return slice, err
}

// Slices returns all slices.
func (p *published) Slices() ([]*resourceapi.ResourceSlice, error) {
	return p.slices.List(labels.Everything())
}

// Ruled reports whether DeviceTaintRules exist. It returns true if it cannot list them.
func (p *published) Ruled() bool {
	if p.rules == nil {
		return false
	}
	rules, err := p.rules.List(labels.Everything())
	return err != nil || len(rules) > 0
}

// Synced reports whether the informers have delivered all existing objects.
func (p *published) Synced() bool {
	for _, telling := range p.telling {
		if !telling.HasSynced() {
			return false
		}
	}
	return true
}
