// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/apply"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/pki"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// applyDefinitions applies the custom resource definitions that the Go modules of the
// components ship, and waits until the API server serves them. It applies KubeRay's definitions
// even without the operator, because Dovetail reads RayClusters.
func (c *Cluster) applyDefinitions(ctx context.Context, applier *apply.Applier) error {
	bases := filepath.Join("config", "crd", "bases")
	definitions, err := apply.Read(os.DirFS(filepath.Join(c.modules[binaries.ModuleKubeRay], bases)), "*.yaml")
	if err != nil {
		return err
	}
	podGroups, err := apply.Read(os.DirFS(filepath.Join(c.modules[binaries.ModuleSchedulerPlugins], bases)), "*_podgroups.yaml")
	if err != nil {
		return err
	}
	definitions = append(definitions, podGroups...)
	if !c.options.without(JobSet) {
		jobSets, err := apply.Read(os.DirFS(filepath.Join(c.modules[binaries.ModuleJobSet], "config", "components", "crd", "bases")), "*.yaml")
		if err != nil {
			return err
		}
		definitions = append(definitions, jobSets...)
	}
	if err := applier.Apply(ctx, definitions); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, readyTimeout, errNotReady)
	defer cancel()
	if err := applier.WaitServed(bounded, definitions); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d custom resource definitions are established\n", len(definitions))
	return nil
}

// startKwok runs KWOK with the ClusterRole that its Go module ships.
func (c *Cluster) startKwok(ctx context.Context, applier *apply.Applier) error {
	roles := os.DirFS(filepath.Join(c.modules[binaries.ModuleKwok], "kustomize", "rbac"))
	if err := applyRoles(ctx, applier, roles, userKwok); err != nil {
		return err
	}
	return c.StartComponent(ctx, Kwok)
}

// startKubeRay runs the KubeRay operator with the ClusterRole that its Go module ships, after
// definitions is closed: the custom resource definitions are served.
func (c *Cluster) startKubeRay(ctx context.Context, applier *apply.Applier, definitions <-chan struct{}) error {
	roles := os.DirFS(filepath.Join(c.modules[binaries.ModuleKubeRay], "config", "rbac"))
	if err := applyRoles(ctx, applier, roles, userKubeRay); err != nil {
		return err
	}
	if c.options.KubeRayBatchScheduler != "" {
		rights, err := batchSchedulerRole()
		if err != nil {
			return err
		}
		if err := applier.Apply(ctx, rights); err != nil {
			return err
		}
	}
	if err := waitFor(ctx, definitions); err != nil {
		return err
	}
	return c.StartComponent(ctx, KubeRay)
}

// startDovetail applies the objects of manifests/ except the Deployment, and runs the scheduler as a local process with
// the ServiceAccount of the manifests.
func (c *Cluster) startDovetail(ctx context.Context, applier *apply.Applier, definitions <-chan struct{}) error {
	var objects []*unstructured.Unstructured
	for _, file := range []string{"namespace.yaml", "serviceaccount.yaml", "rbac.yaml", "evictions/rbac.yaml"} {
		found, err := apply.Read(manifests.FS, file)
		if err != nil {
			return fmt.Errorf("reading manifests: %w", err)
		}
		objects = append(objects, found...)
	}
	if err := applier.Apply(ctx, objects); err != nil {
		return err
	}
	if err := c.writeDovetailKubeconfig(ctx, objects); err != nil {
		return err
	}
	if err := waitFor(ctx, definitions); err != nil {
		return err
	}
	for _, replica := range dovetailReplicas {
		if c.options.without(replica) {
			continue
		}
		if err := c.StartComponent(ctx, replica); err != nil {
			return err
		}
	}
	return nil
}

// tokenSeconds is the lifetime of Dovetail's token, the same as that of the cluster's
// certificates.
const tokenSeconds = 365 * 24 * 3600

func (c *Cluster) writeDovetailKubeconfig(ctx context.Context, objects []*unstructured.Unstructured) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if object.GetKind() != "ServiceAccount" {
			continue
		}
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](tokenSeconds)}}
		answer, err := client.CoreV1().ServiceAccounts(object.GetNamespace()).CreateToken(ctx, object.GetName(), request, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("requesting a token for ServiceAccount %s: %w", object.GetName(), err)
		}
		for _, replica := range dovetailReplicas {
			server, err := c.dovetailServer(replica)
			if err != nil {
				return err
			}
			if err := pki.WriteTokenKubeconfig(c.layout.clientKubeconfig(replica), server, answer.Status.Token); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("manifests hold no ServiceAccount for Dovetail to run as")
}

// dovetailServer returns the server that a replica of Dovetail connects to.
func (c *Cluster) dovetailServer(replica string) (pki.Server, error) {
	if c.options.DovetailServer == nil || c.options.without(replica) {
		return pki.Server{URL: c.serverURL(), CAPEM: c.admin.CAData}, nil
	}
	server, err := c.options.DovetailServer(replica, c.AdminConfig())
	if err != nil {
		return pki.Server{}, fmt.Errorf("asking for the server of %s: %w", replica, err)
	}
	return pki.Server{URL: server.Host, CAPEM: server.CAData}, nil
}
