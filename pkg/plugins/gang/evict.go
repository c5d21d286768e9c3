// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// evictDue evicts the remaining pods of every gang that lost members and has no room for
// replacements.
func (g *Gang) evictDue(ctx context.Context, now time.Time) {
	for key, pods := range g.tracker.Evictions(now) {
		budgeted := ""
		for _, pod := range pods {
			if !g.evictPod(ctx, key, pod) {
				budgeted = pod.Name
			}
		}
		g.apply(g.tracker.Budgeted(key, budgeted))
	}
}

// evictPod requests the eviction of a pod. It returns false if a PodDisruptionBudget
// forbids the eviction for now.
func (g *Gang) evictPod(ctx context.Context, key gangs.Key, pod *v1.Pod) bool {
	err := g.handle.ClientSet().PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case err == nil:
		metrics.Evicted(g.handle.ProfileName())
		g.report.Evicted(key, pod)
	case apierrors.IsTooManyRequests(err):
		return false
	case !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
		g.logger.Error(err, "Could not evict a member of a gang that is to be placed elsewhere", "gang", key, "pod", klog.KObj(pod))
	}
	return true
}
