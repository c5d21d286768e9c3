// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// A start without the rights on the lease ends with an error that names the missing right.
func TestLeaseWithoutRights(t *testing.T) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "dovetail-system", Name: "dovetail"}}
	tests := map[string]struct {
		exists  bool
		allowed string
		silent  bool
		want    string
	}{
		"all rights":                      {allowed: "get update create"},
		"no create, and the lease exists": {allowed: "get update", exists: true},
		"no create, and no lease":         {allowed: "get update", want: "may not create lease dovetail in namespace dovetail-system"},
		"no update":                       {allowed: "get create", exists: true, want: "may not update lease dovetail in namespace dovetail-system"},
		"no rights":                       {want: "may not get lease dovetail in namespace dovetail-system"},
		"no answer":                       {silent: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			if test.exists {
				client = fake.NewClientset(lease.DeepCopy())
			}
			client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
				review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
				asked := review.Spec.ResourceAttributes
				if asked.Verb == "create" != (asked.Name == "") {
					t.Errorf("asked for %s of lease %q", asked.Verb, asked.Name)
				}
				review.Status.Allowed = strings.Contains(test.allowed, asked.Verb)
				if test.silent {
					return true, nil, errors.New("no answer")
				}
				return true, review, nil
			})
			err := mayElect(context.Background(), client, lease.Namespace, lease.Name)
			switch {
			case err == nil && test.want != "":
				t.Errorf("no error, want %q", test.want)
			case err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %q, want %q", err, test.want)
			}
		})
	}
}
