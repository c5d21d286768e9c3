// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"context"
	"errors"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang/report"
)

// templateTimeout limits the request for a template, which delays reports on other gangs.
const templateTimeout = 2 * time.Second

// namesMissingClaim returns the first ResourceClaim that the pod names and that does not
// exist. The in-tree DynamicResources plugin keeps such a pod out of the queue and writes
// no reason.
func (g *Gang) namesMissingClaim(pod *v1.Pod) string {
	if len(pod.Spec.ResourceClaims) == 0 || g.handle.SharedDRAManager() == nil {
		return ""
	}
	for _, name := range gangs.NamedClaims(pod) {
		if _, err := g.handle.SharedDRAManager().ResourceClaims().Get(pod.Namespace, name); errors.Is(err, assumecache.ErrNotFound) {
			return name
		}
	}
	return ""
}

// nameMissing replaces the sentence about a gang that waits for claims, if an object that a
// member names does not exist: that is a mistake, which waiting does not mend.
func (g *Gang) nameMissing(ctx context.Context, key gangs.Key, status *report.Status) {
	if status.Sentence != "" && !status.Incomplete || status.Problem || status.Phase == gangstate.Evicting {
		return
	}
	for _, pod := range status.Pods {
		if claim := g.namesMissingClaim(pod); claim != "" {
			status.Incomplete = true
			status.Sentence = key.Messagef("pod %s names ResourceClaim %s, which does not exist", pod.Name, claim)
			return
		}
	}
	if status.Sentence == "" && status.Incomplete {
		status.Sentence = g.lacking(key, status.Pods)
	}
	for _, pod := range status.Pods {
		template := gangs.PendingTemplate(pod)
		if template == "" {
			continue
		}
		if g.lacksTemplate(ctx, pod.Namespace, template) {
			status.Incomplete = true
			status.Sentence = key.Messagef("pod %s names ResourceClaimTemplate %s, which does not exist", pod.Name, template)
		}
		return // the members of a gang usually have the same template; one request is enough
	}
}

// lacking returns a sentence about the first pod that lacks a ResourceClaim, "" for none.
func (g *Gang) lacking(key gangs.Key, pods []*v1.Pod) string {
	for _, pod := range pods {
		if reason := g.claims.Lacks(pod); reason != "" {
			return key.Messagef("pod %s %s", pod.Name, reason)
		}
	}
	return ""
}

// lacksTemplate asks the API server whether a ResourceClaimTemplate does not exist. The
// scheduler needs templates only for the report on a waiting gang and does not watch them. If
// the request fails, the report stays as it is.
func (g *Gang) lacksTemplate(ctx context.Context, namespace, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, templateTimeout)
	defer cancel()
	_, err := g.handle.ClientSet().ResourceV1().ResourceClaimTemplates(namespace).Get(ctx, name, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}
