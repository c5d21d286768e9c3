// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	"sync"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// DRAAware wraps the in-tree plugin DynamicResources and shows it the devices in an order that
// suits the pod. Embedding forwards the extension points that DRAAware does not override.
type DRAAware struct {
	*dynamicresources.DynamicResources
	innerCalls *innerCalls
	devices    *cluster.Devices
	// view has what the plugins of the profile share. pods is the store of the pod informer.
	view       *cluster.Profile
	pods       cache.Indexer
	lastFreed  atomic.Pointer[freedAll]
	claims     fwk.ResourceClaimTracker
	tracker    *tracker
	writers    *writers
	claimLocks *claimLocks
	// lostWrites has the claims whose state is unknown, because the answer to a write was lost.
	lostWrites *lostWrites
	patience   patience
	// retries has the UIDs of the pods with a timer of tryAgain.
	retries sync.Map
	// allocations has the claims that hold each device.
	allocations *allocations
	// extended has the claims for extended resources, by pod.
	extended cache.Indexer
	events   events.EventRecorder
	profile  string
	logger   klog.Logger
	// podGroupCycle is set if the scheduler schedules PodGroups of scheduling.k8s.io in cycles
	// of their own. real is the scheduler's framework handle; the in-tree plugin gets a wrapped
	// one.
	podGroupCycle bool
	real          fwk.Handle
	// scoring is the cycle whose nodes are being scored. Reading it from the CycleState
	// would cost an allocation per node.
	scoring atomic.Pointer[cycle]
}

var (
	_ fwk.PreEnqueuePlugin         = (*DRAAware)(nil)
	_ fwk.PreFilterPlugin          = (*DRAAware)(nil)
	_ fwk.PreFilterExtensions      = (*DRAAware)(nil)
	_ fwk.FilterPlugin             = (*DRAAware)(nil)
	_ fwk.PostFilterPlugin         = (*DRAAware)(nil)
	_ fwk.PodGroupPostFilterPlugin = (*DRAAware)(nil)
	_ fwk.PreScorePlugin           = (*DRAAware)(nil)
	_ fwk.ScorePlugin              = (*DRAAware)(nil)
	_ fwk.ReservePlugin            = (*DRAAware)(nil)
	_ fwk.EnqueueExtensions        = (*DRAAware)(nil)
	_ fwk.PreBindPlugin            = (*DRAAware)(nil)
	_ fwk.PostBindPlugin           = (*DRAAware)(nil)
	_ fwk.SignPlugin               = (*DRAAware)(nil)
)
