// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/binaries"
	portpkg "github.com/dovetail-dev/dovetail/test/localcluster/internal/ports"
)

// component is one program of the cluster.
type component struct {
	// binary is its name in .cache/bin.
	binary string
	// args are its arguments, without those of Options.Args.
	args []string
	// env are additional environment variables, NAME=value.
	env []string
	// health is a URL that returns 200 when the component is ready; metrics is the URL of
	// its Prometheus metrics.
	health, metrics string
}

// Numbers that size the components for up to 5,000 simulated nodes on a small machine.
const (
	// leaseSeconds is the duration of a node's lease; KWOK renews it four times within that. The default of 40 seconds
	// would cost 500 writes a second at 5,000 nodes.
	leaseSeconds = 240
	// monitorGrace is the node monitor's grace period. It is longer than a lease: on a busy
	// machine KWOK renews leases late, and nodes would become NotReady.
	monitorGrace = "600s"
	// clientQPS and clientBurst are high enough that client-side rate limits never apply.
	// The API server's own limits remain.
	clientQPS   = "1000"
	clientBurst = "2000"
	// serviceCIDR and podCIDR carry no traffic. podCIDR is in the address block for
	// benchmarks, which is not routed: the API server's proxy must not reach another
	// machine.
	serviceCIDR = "10.96.0.0/12"
	podCIDR     = "198.18.0.0/15"
	// nodeAddress directs kubectl logs and exec to KWOK.
	nodeAddress = "127.0.0.1"
	// advertisedAddress is in the address block for documentation, because the API server
	// refuses to advertise loopback. No client connects to it.
	advertisedAddress = "192.0.2.1"
	// noProxy is a proxy address that refuses connections at once. The KubeRay operator
	// uses it for the dashboards of Ray heads, which avoids DNS lookups of them. It
	// connects to loopback directly.
	noProxy = "http://127.0.0.1:1"
	// issuer signs service account tokens.
	issuer = "https://kubernetes.default.svc.cluster.local"
	// openPaths need no authorization, for health checks and metrics.
	openPaths = "/healthz,/livez,/readyz,/metrics"
)

// component returns a component of this cluster by its name.
func (c *Cluster) component(name string) (component, error) {
	describe, known := map[string]func() component{
		Etcd: c.etcd, APIServer: c.apiServer, ControllerManager: c.controllerManager, Scheduler: c.scheduler,
		Kwok: c.kwok, KubeRay: c.kubeRay, JobSet: c.jobSet,
		Dovetail:        func() component { return c.dovetail(Dovetail, c.ports.Dovetail) },
		DovetailStandby: func() component { return c.dovetail(DovetailStandby, c.ports.DovetailStandby) },
	}[name]
	if !known || c.options.without(name) {
		return component{}, fmt.Errorf("the cluster has no component %q", name)
	}
	return describe(), nil
}

func (c *Cluster) etcd() component {
	client, peer := "https://"+portpkg.Address(c.ports.EtcdClient), "https://"+portpkg.Address(c.ports.EtcdPeer)
	metrics := "http://" + portpkg.Address(c.ports.EtcdMetrics)
	cert, key, ca := c.pkiFile("etcd.crt"), c.pkiFile("etcd.key"), c.pkiFile("etcd-ca.crt")
	return component{
		binary: "etcd", health: metrics + "/health", metrics: metrics + "/metrics",
		args: []string{
			"--name=local", "--data-dir=" + c.layout.etcdData(), "--initial-cluster=local=" + peer,
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--listen-metrics-urls=" + metrics,
			"--client-cert-auth", "--cert-file=" + cert, "--key-file=" + key, "--trusted-ca-file=" + ca,
			"--peer-client-cert-auth", "--peer-cert-file=" + cert, "--peer-key-file=" + key, "--peer-trusted-ca-file=" + ca,
			// The data need not survive a power failure, and fsync delays every write.
			"--unsafe-no-fsync",
		},
	}
}

func (c *Cluster) apiServer() component {
	args := []string{
		"--etcd-servers=https://" + portpkg.Address(c.ports.EtcdClient), "--etcd-cafile=" + c.pkiFile("etcd-ca.crt"),
		"--etcd-certfile=" + c.pkiFile("etcd-client.crt"), "--etcd-keyfile=" + c.pkiFile("etcd-client.key"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.APIServer),
		"--advertise-address=" + advertisedAddress, "--endpoint-reconciler-type=none",
		"--tls-cert-file=" + c.pkiFile("serving.crt"), "--tls-private-key-file=" + c.pkiFile("serving.key"),
		"--client-ca-file=" + c.pkiFile("ca.crt"), "--authorization-mode=RBAC",
		// No proxy uses this name, but components log errors if the flag is not set.
		"--requestheader-client-ca-file=" + c.pkiFile("ca.crt"), "--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--service-account-issuer=" + issuer, "--api-audiences=" + issuer,
		"--service-account-key-file=" + c.pkiFile("service-accounts.key"),
		"--service-account-signing-key-file=" + c.pkiFile("service-accounts.key"),
		"--service-cluster-ip-range=" + serviceCIDR, "--allow-privileged=true",
		// Host names would cause DNS lookups.
		"--kubelet-preferred-address-types=InternalIP",
		"--max-requests-inflight=1600", "--max-mutating-requests-inflight=800",
	}
	if config := c.options.runtimeConfig(); config != "" {
		args = append(args, "--runtime-config="+config)
	}
	return component{
		binary: "kube-apiserver", health: c.serverURL() + "/readyz", metrics: c.serverURL() + "/metrics",
		args: append(args, c.gates()...),
	}
}

func (c *Cluster) controllerManager() component {
	return c.secure("kube-controller-manager", c.ports.ControllerManager, "/healthz", append([]string{
		"--kubeconfig=" + c.layout.clientKubeconfig(ControllerManager),
		"--authentication-kubeconfig=" + c.layout.clientKubeconfig(ControllerManager),
		"--authorization-kubeconfig=" + c.layout.clientKubeconfig(ControllerManager),
		"--leader-elect=false", "--use-service-account-credentials=true",
		// The ttl controller annotates every node for kubelets whenever the cluster grows:
		// many writes without use here.
		"--controllers=*,-ttl-controller",
		"--service-account-private-key-file=" + c.pkiFile("service-accounts.key"), "--root-ca-file=" + c.pkiFile("ca.crt"),
		"--node-monitor-grace-period=" + monitorGrace, "--node-startup-grace-period=" + monitorGrace,
		"--kube-api-qps=" + clientQPS, "--kube-api-burst=" + clientBurst,
	}, c.gates()...))
}

func (c *Cluster) scheduler() component {
	return c.secure("kube-scheduler", c.ports.Scheduler, "/readyz", append([]string{
		"--kubeconfig=" + c.layout.clientKubeconfig(Scheduler),
		"--authentication-kubeconfig=" + c.layout.clientKubeconfig(Scheduler),
		"--authorization-kubeconfig=" + c.layout.clientKubeconfig(Scheduler),
		"--leader-elect=false", "--kube-api-qps=" + clientQPS, "--kube-api-burst=" + clientBurst,
	}, c.gates()...))
}

// dovetail returns the component that runs a replica of Dovetail.
func (c *Cluster) dovetail(replica string, port int) component {
	kubeconfig := c.layout.clientKubeconfig(replica)
	args := []string{"--kubeconfig=" + kubeconfig}
	if c.options.DovetailConfig != nil {
		args = []string{"--config=" + c.layout.dovetailConfig(replica)}
	}
	// With leader election, a restarted component would wait until the lease of its former
	// process expires. A single replica does without.
	elect := slices.Contains(c.options.With, DovetailStandby)
	args = append(args,
		"--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		fmt.Sprintf("--leader-elect=%v", elect), "-v=2")
	// Dovetail needs no feature gates: it reads from the API server which features are
	// available.
	return c.secure("dovetail-scheduler", port, "/readyz", args)
}

func (c *Cluster) kwok() component {
	url := "http://" + portpkg.Address(c.ports.Kwok)
	stages := filepath.Join(c.modules[binaries.ModuleKwok], "kustomize", "stage")
	return component{
		binary: "kwok", health: url + "/healthz", metrics: url + "/metrics",
		args: []string{
			"--kubeconfig=" + c.layout.clientKubeconfig(Kwok), "--server-address=" + portpkg.Address(c.ports.Kwok),
			"--config=" + c.layout.kwokConfig(),
			"--config=" + filepath.Join(stages, "node", "fast"),
			"--config=" + filepath.Join(stages, "node", "heartbeat-with-lease"),
			"--config=" + filepath.Join(stages, "pod", "fast"),
		},
	}
}

func (c *Cluster) kubeRay() component {
	args := []string{
		"-kubeconfig=" + c.layout.clientKubeconfig(KubeRay), "-enable-leader-election=false",
		"-metrics-addr=" + portpkg.Address(c.ports.KubeRayMetrics),
		"-health-probe-bind-address=" + portpkg.Address(c.ports.KubeRayProbe),
		"-log-stdout-encoder=console", "-qps=" + clientQPS, "-burst=" + clientBurst,
	}
	if name := c.options.KubeRayBatchScheduler; name != "" {
		args = append(args, "-batch-scheduler="+name)
	}
	return component{
		binary: "kuberay-operator", args: args, env: []string{"HTTP_PROXY=" + noProxy},
		health:  "http://" + portpkg.Address(c.ports.KubeRayProbe) + "/readyz",
		metrics: "http://" + portpkg.Address(c.ports.KubeRayMetrics) + "/metrics",
	}
}

// secure adds the flags of Kubernetes' own HTTPS server.
func (c *Cluster) secure(binary string, port int, health string, args []string) component {
	url := "https://" + portpkg.Address(port)
	return component{
		binary: binary, health: url + health, metrics: url + "/metrics",
		args: append(args,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
			"--tls-cert-file="+c.pkiFile("serving.crt"), "--tls-private-key-file="+c.pkiFile("serving.key"),
			"--authorization-always-allow-paths="+openPaths),
	}
}

func (c *Cluster) gates() []string {
	if c.options.FeatureGates == "" {
		return nil
	}
	return []string{"--feature-gates=" + c.options.FeatureGates}
}

func (c *Cluster) jobSet() component {
	return component{
		binary: "jobset-controller",
		args:   []string{"--kubeconfig=" + c.layout.clientKubeconfig(JobSet), "--config=" + c.layout.jobSetConfig()},
		health: "http://" + portpkg.Address(c.ports.JobSetProbe) + "/readyz",
	}
}
