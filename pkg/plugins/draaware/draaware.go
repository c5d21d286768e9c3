// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	fwk "k8s.io/kube-scheduler/framework"
	stockconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/snapshot"
)

// Name is the plugin's name in a profile.
const Name = "DRAAware"

// DRAAware is the in-tree plugin under its own name. Embedding forwards every
// extension point that the in-tree plugin has.
type DRAAware struct {
	*dynamicresources.DynamicResources
}

var (
	_ fwk.PreEnqueuePlugin         = (*DRAAware)(nil)
	_ fwk.PreFilterPlugin          = (*DRAAware)(nil)
	_ fwk.FilterPlugin             = (*DRAAware)(nil)
	_ fwk.PostFilterPlugin         = (*DRAAware)(nil)
	_ fwk.PodGroupPostFilterPlugin = (*DRAAware)(nil)
	_ fwk.ScorePlugin              = (*DRAAware)(nil)
	_ fwk.ReservePlugin            = (*DRAAware)(nil)
	_ fwk.EnqueueExtensions        = (*DRAAware)(nil)
	_ fwk.PreBindPlugin            = (*DRAAware)(nil)
	_ fwk.SignPlugin               = (*DRAAware)(nil)
)

// New makes the plugin and leaves the device counts on the profile's desk. The
// stock plugin must be off in the same profile: both index pods under one name.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle, desk *snapshot.Desk) (fwk.Plugin, error) {
	args, err := config.DecodeDRAAwareArgs(obj)
	if err != nil {
		return nil, err
	}
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	inner, err := dynamicresources.New(ctx, stockArgs(args, features), handle, features)
	if err != nil {
		return nil, fmt.Errorf("making the DynamicResources plugin that %s stands for: %w", Name, err)
	}
	stock, ok := inner.(*dynamicresources.DynamicResources)
	if !ok {
		return nil, fmt.Errorf("the DynamicResources plugin is a %T, which %s cannot stand for", inner, Name)
	}
	if features.EnableDynamicResourceAllocation {
		desk.SetDevices(snapshot.NewDevices(handle.SharedDRAManager()))
	}
	return &DRAAware{DynamicResources: stock}, nil
}

// stockArgs writes our arguments as the in-tree plugin's. It refuses a timeout
// whose feature gate is off.
func stockArgs(args *config.DRAAwareArgs, features feature.Features) *stockconfig.DynamicResourcesArgs {
	stock := &stockconfig.DynamicResourcesArgs{}
	if features.EnableDRASchedulerFilterTimeout {
		stock.FilterTimeout = duration(args.FilterTimeout)
	}
	if features.EnableDRADeviceBindingConditions && features.EnableDRAResourceClaimDeviceStatus {
		stock.BindingTimeout = duration(args.BindingTimeout)
	}
	return stock
}

func duration(d time.Duration) *metav1.Duration {
	return &metav1.Duration{Duration: d}
}

// Name returns the plugin's name.
func (d *DRAAware) Name() string { return Name }
