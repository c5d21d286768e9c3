// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/featuregate"
	"k8s.io/klog/v2"
	kubefeatures "k8s.io/kubernetes/pkg/features"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"github.com/spf13/pflag"
)

const (
	// askTimeout limits the wait for an API server that does not respond. After it the
	// process ends with an error, and the kubelet restarts it. askPause is the time between
	// two attempts, askOnce the timeout of one request.
	askTimeout = 30 * time.Second
	askPause   = time.Second
	askOnce    = 5 * time.Second
)

// servedBy are the scheduler's feature gates that need a served resource. With the gate on
// and the resource not served by the API server, the scheduler waits for a watch that never
// starts, and never gets ready. A gate that is off by default is turned on if the resource
// is served, unless the command line sets it. A gate comes after the gates it depends on.
var servedBy = []struct {
	gate     featuregate.Feature
	resource schema.GroupVersionResource
}{
	{kubefeatures.DRADeviceTaintRules, resourceapi.SchemeGroupVersion.WithResource("devicetaintrules")},
	{kubefeatures.GenericWorkload, schedulingv1beta1.SchemeGroupVersion.WithResource("podgroups")},
	{kubefeatures.TopologyAwareWorkloadScheduling, schedulingv1beta1.SchemeGroupVersion.WithResource("podgroups")},
	{kubefeatures.DRAWorkloadResourceClaims, schedulingv1beta1.SchemeGroupVersion.WithResource("podgroups")},
	{kubefeatures.CompositePodGroup, schedulingv1alpha3.SchemeGroupVersion.WithResource("compositepodgroups")},
}

// settleGates sets the feature gates of the process by the resources that the API server
// serves.
func settleGates(ctx context.Context, apiServer *rest.Config, gates featuregate.MutableVersionedFeatureGate) error {
	client, err := discovery.NewDiscoveryClientForConfig(apiServer)
	if err != nil {
		return fmt.Errorf("making the client that asks what is served: %w", err)
	}
	served, err := askWhatIsServed(ctx, client)
	if err != nil {
		return fmt.Errorf("asking the API server %s what it serves: %w", apiServer.Host, err)
	}
	changes := gateChanges(served, gates)
	if len(changes) == 0 {
		return nil
	}
	klog.Background().Info("Feature gates follow what the API server serves", "changed", changes)
	return gates.SetFromMap(changes)
}

// connection returns the client configuration for the requests before the scheduler starts:
// the scheduler's own, with a limit for each request.
func connection(flags *pflag.FlagSet, config *kubeconfig.KubeSchedulerConfiguration) (*rest.Config, error) {
	master, err := flags.GetString("master")
	if err != nil {
		return nil, err
	}
	apiServer, err := clientcmd.BuildConfigFromFlags(master, config.ClientConnection.Kubeconfig)
	if err != nil {
		return nil, err
	}
	apiServer.Timeout = askOnce
	return apiServer, nil
}

// askWhatIsServed returns the resources of servedBy that the API server serves.
func askWhatIsServed(ctx context.Context, client discovery.ServerResourcesInterface) (map[schema.GroupVersionResource]bool, error) {
	served, last := map[schema.GroupVersionResource]bool{}, error(nil)
	err := wait.PollUntilContextTimeout(ctx, askPause, askTimeout, true, func(context.Context) (bool, error) {
		for _, gated := range servedBy {
			var list *metav1.APIResourceList
			list, last = client.ServerResourcesForGroupVersion(gated.resource.GroupVersion().String())
			switch {
			case apierrors.IsNotFound(last):
				last = nil
			case last != nil:
				return false, nil
			default:
				served[gated.resource] = slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == gated.resource.Resource })
			}
		}
		return true, nil
	})
	if err != nil && last != nil {
		return nil, last
	}
	return served, err
}

// gateChanges returns the gates to change for the served resources, with their new values.
func gateChanges(served map[schema.GroupVersionResource]bool, gates featuregate.MutableVersionedFeatureGate) map[string]bool {
	settled := map[featuregate.Feature]bool{}
	enabled := func(gate featuregate.Feature) bool {
		if on, ok := settled[gate]; ok {
			return on
		}
		return gates.Enabled(gate)
	}
	for _, gated := range servedBy {
		wanted := gates.Enabled(gated.gate) || !gates.ExplicitlySet(gated.gate)
		settled[gated.gate] = wanted && served[gated.resource]
	}
	// Turn off each gate whose dependencies are off, because SetFromMap would refuse it.
	for again := true; again; {
		again = false
		for gate, needs := range gates.Dependencies() {
			if enabled(gate) && !allOf(needs, enabled) {
				settled[gate], again = false, true
			}
		}
	}
	changes := map[string]bool{}
	for gate, on := range settled {
		if on != gates.Enabled(gate) {
			changes[string(gate)] = on
		}
	}
	return changes
}

func allOf(gates []featuregate.Feature, enabled func(featuregate.Feature) bool) bool {
	return !slices.ContainsFunc(gates, func(gate featuregate.Feature) bool { return !enabled(gate) })
}
