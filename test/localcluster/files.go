// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"os"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	"github.com/dovetail-dev/dovetail/test/localcluster/internal/pki"
	portpkg "github.com/dovetail-dev/dovetail/test/localcluster/internal/ports"
	"sigs.k8s.io/yaml"
)

// Users of the components for which Kubernetes' bootstrap policy defines no user.
const (
	userKwok    = "kwok-controller"
	userKubeRay = "kuberay-operator"
	userJobSet  = "jobset-controller"
)

// clientSubjects are the subjects of the components' client certificates, by component name.
var clientSubjects = map[string]pki.Subject{
	ControllerManager: {User: "system:kube-controller-manager"},
	Scheduler:         {User: "system:kube-scheduler"},
	Kwok:              {User: userKwok},
	KubeRay:           {User: userKubeRay},
	JobSet:            {User: userJobSet},
}

// writeFiles writes the files that the components read at their start, except Dovetail's
// token, which the API server issues.
func (c *Cluster) writeFiles() error {
	for _, dir := range []string{c.layout.pki(), c.layout.logs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making a directory of the cluster: %w", err)
		}
	}
	if err := c.writeEtcdCertificates(); err != nil {
		return err
	}
	if err := c.writeCertificates(); err != nil {
		return err
	}
	if err := c.writeKwokConfig(); err != nil {
		return err
	}
	if err := c.writeJobSetConfig(); err != nil {
		return err
	}
	if err := c.writeDovetailConfig(); err != nil {
		return err
	}
	return c.readAdmin()
}

// writeEtcdCertificates creates a separate certificate authority for etcd. The API server
// is etcd's only client.
func (c *Cluster) writeEtcdCertificates() error {
	authority, err := pki.NewAuthority(c.layout.pki(), "etcd-ca")
	if err != nil {
		return err
	}
	if _, err := authority.Serve("etcd"); err != nil {
		return err
	}
	_, err = authority.Client("etcd-client", pki.Subject{User: APIServer})
	return err
}

func (c *Cluster) writeCertificates() error {
	authority, err := pki.NewAuthority(c.layout.pki(), "ca")
	if err != nil {
		return err
	}
	if _, err := authority.Serve("serving", "kubernetes", "kubernetes.default", "kubernetes.default.svc"); err != nil {
		return err
	}
	if _, err := authority.Serve(webhookCertificate); err != nil {
		return err
	}
	if _, err := pki.NewKey(c.layout.pki(), "service-accounts"); err != nil {
		return err
	}
	server := pki.Server{URL: c.serverURL(), CAPEM: authority.CertPEM}
	admin, err := authority.Client("admin", pki.Subject{User: "admin", Groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	if err := pki.WriteKubeconfig(c.layout.kubeconfig(), server, admin); err != nil {
		return err
	}
	for name, subject := range clientSubjects {
		pair, err := authority.Client(name, subject)
		if err != nil {
			return err
		}
		if err := pki.WriteKubeconfig(c.layout.clientKubeconfig(name), server, pair); err != nil {
			return err
		}
	}
	return nil
}

// kwokParallelism is the number of nodes, pods and leases that KWOK processes at a time.
const kwokParallelism = 16

// writeKwokConfig writes KWOK's options. The definitions of its stages come from KWOK's Go
// module.
func (c *Cluster) writeKwokConfig() error {
	return writeYAML(c.layout.kwokConfig(), map[string]any{
		"apiVersion": "config.kwok.x-k8s.io/v1alpha1",
		"kind":       "KwokConfiguration",
		"options": map[string]any{
			"cidr":                              podCIDR,
			"nodeIP":                            nodeAddress,
			"nodePort":                          c.ports.Kwok,
			"manageNodesWithAnnotationSelector": fleet.AnnotationKwok + "=" + fleet.AnnotationKwokValue,
			"nodeLeaseDurationSeconds":          leaseSeconds,
			"nodeLeaseParallelism":              kwokParallelism,
			"nodePlayStageParallelism":          kwokParallelism,
			"podPlayStageParallelism":           kwokParallelism,
			"enablePodsOnNodeSyncStreamWatch":   true,
			"enablePodsOnNodeSyncListPager":     false,
		},
	})
}

// dovetailReplicas are the components that run Dovetail.
var dovetailReplicas = []string{Dovetail, DovetailStandby}

// writeDovetailConfig writes Options.DovetailConfig, if set, and fills in the kubeconfig.
func (c *Cluster) writeDovetailConfig() error {
	if c.options.DovetailConfig == nil {
		return nil
	}
	config := map[string]any{}
	if err := yaml.Unmarshal(c.options.DovetailConfig, &config); err != nil {
		return fmt.Errorf("reading Dovetail's configuration: %w", err)
	}
	connection, isMap := config["clientConnection"].(map[string]any)
	if !isMap {
		connection = map[string]any{}
	}
	config["clientConnection"] = connection
	for _, replica := range dovetailReplicas {
		connection["kubeconfig"] = c.layout.clientKubeconfig(replica)
		if err := writeYAML(c.layout.dovetailConfig(replica), config); err != nil {
			return err
		}
	}
	return nil
}

func writeYAML(file string, content any) error {
	text, err := yaml.Marshal(content)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", file, err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// webhookCertificate is the file name that a webhook server expects in its directory of certificates.
const webhookCertificate = "tls"

// writeJobSetConfig writes the JobSet controller's configuration. The controller serves no
// metrics, because they would need more authorization.
func (c *Cluster) writeJobSetConfig() error {
	return writeYAML(c.layout.jobSetConfig(), map[string]any{
		"apiVersion":             "config.jobset.x-k8s.io/v1alpha1",
		"kind":                   "Configuration",
		"leaderElection":         map[string]any{"leaderElect": false},
		"internalCertManagement": map[string]any{"enable": false},
		"health":                 map[string]any{"healthProbeBindAddress": portpkg.Address(c.ports.JobSetProbe)},
		"metrics":                map[string]any{"bindAddress": "0"},
		"webhook":                map[string]any{"host": "127.0.0.1", "port": c.ports.JobSetWebhook, "certDir": c.layout.pki()},
	})
}
