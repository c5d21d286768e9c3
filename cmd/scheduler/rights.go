// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	kubeconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"github.com/dovetail-dev/dovetail/pkg/apis/config"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang"
)

// checkRights returns an error if the scheduler may not use its leases: the election would
// retry for ever, and only the log would have a reason. checkRights logs an error if a
// profile may have to evict pods (preemption, healAfter) and the scheduler has no right to.
func (s *settings) checkRights(ctx context.Context, apiServer *rest.Config, configuration *kubeconfig.KubeSchedulerConfiguration) error {
	client, err := kubernetes.NewForConfig(apiServer)
	if err != nil {
		return fmt.Errorf("making the client that asks for rights: %w", err)
	}
	if elect := &configuration.LeaderElection; elect.LeaderElect && elect.ResourceLock == resourcelock.LeasesResourceLock {
		if err := mayElect(ctx, client, elect.ResourceNamespace, elect.ResourceName); err != nil {
			return err
		}
	}
	if election := s.extras.Election; election != nil {
		if err := mayElect(ctx, client, election.Namespace, election.Name); err != nil {
			return err
		}
	}
	if evicts(configuration.Profiles) && !may(ctx, client, evictions) {
		klog.FromContext(ctx).Error(nil, "No pod can be evicted for a gang: the configuration allows it (preemption or healAfter), and the scheduler may not create pods/eviction; "+
			"install the component manifests/evictions, or set preemption to Never and healAfter to 0s")
	}
	return nil
}

// evictions is the right to evict pods in every namespace.
var evictions = authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "eviction"}

// mayElect returns an error if the scheduler may not take part in the election by a lease.
// The right to create the lease is needed only if the lease does not exist.
func mayElect(ctx context.Context, client kubernetes.Interface, namespace, name string) error {
	lease := authorizationv1.ResourceAttributes{Namespace: namespace, Name: name, Group: coordinationv1.GroupName, Resource: "leases"}
	verbs := []string{"get", "update"}
	if _, err := client.CoordinationV1().Leases(namespace).Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		verbs = append(verbs, "create")
	}
	for _, verb := range verbs {
		lease.Verb = verb
		if verb == "create" {
			lease.Name = "" // a create cannot be limited to a name
		}
		if !may(ctx, client, lease) {
			return fmt.Errorf("leaderElection.resourceName: the scheduler may not %s lease %s in namespace %s, and without it no replica schedules: "+
				"grant it get and update on this lease and create on leases, as manifests/rbac.yaml does, or set leaderElection.leaderElect to false", verb, name, namespace)
		}
	}
	return nil
}

// may reports whether the API server allows a request of the scheduler. Without an answer
// it returns true.
func may(ctx context.Context, client kubernetes.Interface, request authorizationv1.ResourceAttributes) bool {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &request}}
	answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		klog.FromContext(ctx).Info("Could not ask the API server for the scheduler's rights; going on as if it had them", "err", err)
		return true
	}
	return answer.Status.Allowed
}

// evicts reports whether a profile moves gangs that lost members.
func evicts(profiles []kubeconfig.KubeSchedulerProfile) bool {
	return slices.ContainsFunc(profiles, func(profile kubeconfig.KubeSchedulerProfile) bool {
		return slices.ContainsFunc(profile.PluginConfig, func(plugin kubeconfig.PluginConfig) bool {
			if plugin.Name != gang.Name {
				return false
			}
			args, err := config.DecodeGangArgs(plugin.Args)
			return err == nil && (args.HealAfter > 0 || args.Preemption == config.PreemptByPriority)
		})
	})
}
