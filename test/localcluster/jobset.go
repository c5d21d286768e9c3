// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/apply"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
	portpkg "github.com/dovetail-dev/dovetail/test/localcluster/internal/ports"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// startJobSet runs the JobSet controller with the ClusterRole that its Go module ships, and
// then registers its webhooks.
func (c *Cluster) startJobSet(ctx context.Context, applier *apply.Applier, definitions <-chan struct{}) error {
	components := os.DirFS(filepath.Join(c.modules[binaries.ModuleJobSet], "config", "components"))
	roles, err := fs.Sub(components, "rbac")
	if err != nil {
		return err
	}
	if err := applyRoles(ctx, applier, roles, userJobSet); err != nil {
		return err
	}
	if err := waitFor(ctx, definitions); err != nil {
		return err
	}
	if err := c.StartComponent(ctx, JobSet); err != nil {
		return err
	}
	webhooks, err := c.jobSetWebhooks(components)
	if err != nil {
		return fmt.Errorf("reading JobSet's webhooks: %w", err)
	}
	return applier.Apply(ctx, webhooks)
}

// jobSetWebhooks returns the webhook configurations that JobSet's Go module ships, with the
// address of this cluster's controller. The patches in the module limit the webhooks to pods of
// JobSets.
func (c *Cluster) jobSetWebhooks(components fs.FS) ([]*unstructured.Unstructured, error) {
	objects, err := apply.Read(components, "webhook/manifests.yaml")
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
		if err != nil {
			return nil, err
		}
		patch := "webhook/patches/" + strings.TrimSuffix(object.GetName(), "-webhook-configuration") + "-patch.yaml"
		if err := replaceWebhooks(webhooks, components, patch); err != nil {
			return nil, fmt.Errorf("%s: %w", patch, err)
		}
		for _, webhook := range webhooks {
			if err := c.readdress(webhook); err != nil {
				return nil, fmt.Errorf("%s: %w", object.GetName(), err)
			}
		}
		if err := unstructured.SetNestedSlice(object.Object, webhooks, "webhooks"); err != nil {
			return nil, err
		}
		object.SetName("jobset-" + object.GetName())
	}
	return objects, nil
}

// replaceWebhooks applies a JSON patch in which every operation replaces a webhook.
func replaceWebhooks(webhooks []any, components fs.FS, patch string) error {
	content, err := fs.ReadFile(components, patch)
	if err != nil {
		return err
	}
	var steps []struct {
		Op, Path string
		Value    map[string]any
	}
	if err := yaml.Unmarshal(content, &steps); err != nil {
		return err
	}
	for _, step := range steps {
		at := slices.IndexFunc(webhooks, func(w any) bool { return w.(map[string]any)["name"] == step.Value["name"] })
		if step.Op != "replace" || at < 0 {
			return fmt.Errorf("cannot %s %s", step.Op, step.Path)
		}
		webhooks[at] = step.Value
	}
	return nil
}

// readdress replaces a webhook's service reference by the URL of the local process.
func (c *Cluster) readdress(webhook any) error {
	fields := webhook.(map[string]any)
	path, found, err := unstructured.NestedString(fields, "clientConfig", "service", "path")
	if err != nil || !found {
		return fmt.Errorf("webhook %v names no path: %w", fields["name"], err)
	}
	fields["clientConfig"] = map[string]any{
		"url":      "https://" + portpkg.Address(c.ports.JobSetWebhook) + path,
		"caBundle": base64.StdEncoding.EncodeToString(c.admin.CAData),
	}
	return nil
}
