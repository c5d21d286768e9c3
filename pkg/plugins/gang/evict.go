// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"cmp"
	"context"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// evictDue evicts the members on nodes of every gang that cannot run whole where it is: it
// lost members and has no room for replacements, or its other members could not be bound.
func (g *Gang) evictDue(ctx context.Context, now time.Time) {
	for key, pods := range g.tracker.Evictions(now) {
		blocked := ""
		for _, pod := range pods {
			blocked = cmp.Or(g.evictPod(ctx, key, pod), blocked)
		}
		g.apply(g.tracker.EvictionBlocked(key, blocked))
	}
}

// evictPod requests the eviction of a pod. It returns why the pod is not evicted, "" if the
// pod is evicted or gone, or after an error that it only logs.
func (g *Gang) evictPod(ctx context.Context, key gangs.Key, pod *v1.Pod) string {
	err := g.handle.ClientSet().PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case err == nil:
		metrics.Evicted(g.handle.ProfileName())
		g.report.Evicted(key, pod)
	case apierrors.IsTooManyRequests(err):
		return "a PodDisruptionBudget does not allow it yet for pod " + pod.Name
	case apierrors.IsForbidden(err):
		g.logger.Error(err, "May not evict a member of a gang that is to be placed again", "gang", key, "pod", klog.KObj(pod))
		return forbidden(pod.Name, err)
	case !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
		g.logger.Error(err, "Could not evict a member of a gang that is to be placed again", "gang", key, "pod", klog.KObj(pod))
	}
	return ""
}

// forbidden explains why the API server forbids the eviction of a pod. RBAC's answer names
// the scheduler's user, which says nothing to the owner of the pod.
func forbidden(pod string, err error) string {
	if strings.Contains(err.Error(), `cannot create resource "pods/eviction"`) {
		return "the scheduler has no right to evict pod " + pod + ": an administrator must install manifests/evictions"
	}
	return "the API server forbids it for pod " + pod + ": " + err.Error()
}
