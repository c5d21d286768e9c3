// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/apply"
)

// batchSchedulerRoleName names what the operator may do besides its module's role.
const batchSchedulerRoleName = "kuberay-operator-batch-scheduler"

// batchSchedulerRole lets the operator make PodGroups. Its module's role has nothing of the kind; KubeRay's chart adds
// these rules when a batch scheduler is chosen.
func batchSchedulerRole() ([]*unstructured.Unstructured, error) {
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: batchSchedulerRoleName},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"scheduling.x-k8s.io", "scheduling.volcano.sh"},
			Resources: []string{"podgroups"},
			Verbs:     []string{"create", "get", "list", "watch", "update"},
		}},
	}
	return apply.FromTyped(role, binding(batchSchedulerRoleName, userKubeRay))
}

// binding gives a user a role in the whole cluster.
func binding(role, user string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: "localcluster-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
}
