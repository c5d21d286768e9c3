// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"io/fs"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/apply"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// batchSchedulerRoleName is the ClusterRole with the additional rights of the KubeRay operator.
const batchSchedulerRoleName = "kuberay-operator-batch-scheduler"

// batchSchedulerRole returns the ClusterRole that lets the KubeRay operator create PodGroups.
// The role that the operator's Go module ships lacks these rules; KubeRay's chart adds them if
// a batch scheduler is set.
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

// binding returns a ClusterRoleBinding of a role to a user.
func binding(role, user string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: "localcluster-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
}

// applyRoles applies the ClusterRoles of role.yaml and binds them to a user.
func applyRoles(ctx context.Context, applier *apply.Applier, dir fs.FS, user string) error {
	objects, err := apply.Read(dir, "role.yaml")
	if err != nil {
		return err
	}
	for _, role := range objects[:len(objects):len(objects)] {
		bound, err := apply.FromTyped(binding(role.GetName(), user))
		if err != nil {
			return err
		}
		objects = append(objects, bound...)
	}
	return applier.Apply(ctx, objects)
}
