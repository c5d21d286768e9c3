// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// right is a rule with the reason for it, or for its absence.
type right struct {
	reason string
	rule   rbacv1.PolicyRule
}

func on(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

// beyondStock are the rights that Dovetail has and the stock scheduler, with
// every feature gate at its default, has not.
var beyondStock = []right{
	{"which ways of declaring a gang are installed", on("apiextensions.k8s.io", []string{"customresourcedefinitions"}, "list", "watch")},
	{"naming a missing template in the sentence about a pod without its claim", on("resource.k8s.io", []string{"resourceclaimtemplates"}, "get")},
	{"gangs of Ray, and how long they run", on("ray.io", []string{"rayclusters", "rayjobs"}, "list", "watch")},
	{"gangs of scheduler-plugins PodGroups", on("scheduling.x-k8s.io", []string{"podgroups"}, "get", "list", "watch")},
	{"their status, in the place of their own controller", on("scheduling.x-k8s.io", []string{"podgroups/status"}, "patch")},
	{"gangs of Volcano's PodGroups", on("scheduling.volcano.sh", []string{"podgroups"}, "list", "watch")},
	{"gangs of LeaderWorkerSets", on("leaderworkerset.x-k8s.io", []string{"leaderworkersets"}, "list", "watch")},
	{"gangs of JobSets and TrainJobs", on("jobset.x-k8s.io", []string{"jobsets"}, "list", "watch")},
	{"gangs of Jobs", on("batch", []string{"jobs"}, "list", "watch")},
	{"Kubernetes' pod groups, stock's own where its gate is on", on("scheduling.k8s.io", []string{"podgroups", "compositepodgroups"}, "list", "watch")},
	{"their status, stock's own where its gate is on", on("scheduling.k8s.io", []string{"podgroups/status"}, "patch")},
}

// withoutNeed are the rights that the stock scheduler has and Dovetail lacks.
var withoutNeed = []right{
	{"caches list and watch; nothing is fetched by name", on("", []string{"pods", "nodes", "namespaces", "services", "replicationcontrollers", "persistentvolumes", "persistentvolumeclaims"}, "get")},
	{"the same", on("apps", []string{"replicasets", "statefulsets"}, "get")},
	{"the same, and the group has not been served for years", on("extensions", []string{"replicasets"}, "get", "list", "watch")},
	{"the same", on("policy", []string{"poddisruptionbudgets"}, "get")},
	{"the same", on("storage.k8s.io", []string{"storageclasses", "csidrivers", "csinodes", "csistoragecapacities", "volumeattachments"}, "get")},
	{"the same", on("resource.k8s.io", []string{"deviceclasses", "resourceslices", "devicetaintrules"}, "get")},
	{"binding goes through the subresource of the pod", on("", []string{"bindings"}, "create")},
	{"pod status is patched", on("", []string{"pods/status"}, "update")},
	{"volumes are updated", on("", []string{"persistentvolumes", "persistentvolumeclaims"}, "patch")},
	{"claims themselves are updated; only their status is patched", on("resource.k8s.io", []string{"resourceclaims"}, "patch")},
	{"claim status is written, never fetched alone", on("resource.k8s.io", []string{"resourceclaims/status"}, "get", "list", "watch")},
	{"leases are a Role in Dovetail's own namespace", on("coordination.k8s.io", []string{"leases"}, "create", "get", "update", "list", "watch")},
	{"coordinated leader election is not used", on("coordination.k8s.io", []string{"leasecandidates"}, "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")},
}

func rules(rights []right) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, right := range rights {
		out = append(out, right.rule)
	}
	return out
}

// stockRules are the rules of the two roles that the stock scheduler is bound to.
func stockRules(t *testing.T) []rbacv1.PolicyRule {
	t.Helper()
	var out []rbacv1.PolicyRule
	for _, role := range bootstrappolicy.ClusterRoles() {
		if role.Name == "system:kube-scheduler" || role.Name == "system:volume-scheduler" {
			out = append(out, role.Rules...)
		}
	}
	if len(out) == 0 {
		t.Fatal("found no rule of the stock scheduler")
	}
	return out
}

// TestRightsAreStockPlusAndMinusTheListed keeps both lists complete and exact:
// a right that is granted, dropped or needed by a new Kubernetes version has to
// be given a reason here.
func TestRightsAreStockPlusAndMinusTheListed(t *testing.T) {
	ours, stock := first[*rbacv1.ClusterRole](t, "rbac.yaml").Rules, stockRules(t)
	if ok, missing := validation.Covers(append(rules(beyondStock), stock...), ours); !ok {
		t.Errorf("granted beyond stock, and not listed: %v", missing)
	}
	if ok, missing := validation.Covers(append(rules(withoutNeed), ours...), stock); !ok {
		t.Errorf("granted to stock, neither granted nor listed: %v", missing)
	}
	for _, right := range beyondStock {
		if ok, missing := validation.Covers(ours, []rbacv1.PolicyRule{right.rule}); !ok {
			t.Errorf("listed as granted (%s), but is not: %v", right.reason, missing)
		}
	}
	for _, right := range withoutNeed {
		if granted := overlap(ours, right.rule); len(granted) > 0 {
			t.Errorf("listed as not granted (%s), but is: %v", right.reason, granted)
		}
	}
}

// overlap returns the single rights of the rule that the others cover.
func overlap(others []rbacv1.PolicyRule, rule rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, single := range validation.BreakdownRule(rule) {
		if ok, _ := validation.Covers(others, []rbacv1.PolicyRule{single}); ok {
			out = append(out, single)
		}
	}
	return out
}
