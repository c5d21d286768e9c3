// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	"k8s.io/client-go/rest"
)

// Names of the components.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
	KubeRay           = "kuberay"
	JobSet            = "jobset"
	Dovetail          = "dovetail"
	// DovetailStandby is a second replica of Dovetail. With it the two replicas elect a leader.
	DovetailStandby = "dovetail-standby"
)

// componentNames are all components, in start order.
var componentNames = []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok, KubeRay, JobSet, Dovetail, DovetailStandby}

// extraComponents are the components that run only if Options.With names them.
var extraComponents = []string{JobSet, DovetailStandby}

// required are the components that Options.Without may not name.
var required = []string{Etcd, APIServer}

// batchSchedulers are the values of KubeRay's -batch-scheduler.
var batchSchedulers = []string{"", "scheduler-plugins", "volcano", "yunikorn", "kai-scheduler"}

// Options describe a cluster. The zero value is a cluster of all components except the
// extra ones, without nodes.
type Options struct {
	// Dir is the directory of the cluster. The default for Start is a new directory under
	// .cache/clusters, which Stop removes. The default for Up, whose cluster stays, is .cache/cluster.
	Dir string
	// Fleets are the fleets whose nodes the cluster has.
	Fleets []fleet.Spec
	// FeatureGates are the gates of every Kubernetes component, such as
	// "GenericWorkload=true". The API server serves the API versions that the gates need.
	// Dovetail reads from the API server which features are available and sets its own gates
	// accordingly.
	FeatureGates string
	// KubeRayBatchScheduler is the operator's -batch-scheduler, for instance scheduler-plugins.
	KubeRayBatchScheduler string
	// Without names the components to leave out.
	Without []string
	// With names extra components: jobset, the JobSet controller; dovetail-standby, a second
	// replica of Dovetail, with which both replicas elect a leader.
	With []string
	// Args are further arguments of components, by component name. They follow the usual
	// arguments and override them.
	Args map[string][]string
	// DovetailConfig is a KubeSchedulerConfiguration for Dovetail that replaces the one of
	// manifests/. The cluster fills in its clientConnection.kubeconfig.
	DovetailConfig []byte
	// DovetailServer, if not nil, returns the host and the certificate authority of the server
	// that a replica of Dovetail connects to: a proxy of the API server. replica is Dovetail or
	// DovetailStandby. Only clusters of Start, which end with the program, may have it.
	DovetailServer func(replica string, apiServer *rest.Config) (*rest.Config, error)
	// Out receives progress messages; nil discards them.
	Out io.Writer
}

// Validate returns an error that names the first invalid option.
func (o Options) Validate() error {
	for _, name := range o.Without {
		if !slices.Contains(componentNames, name) {
			return fmt.Errorf("without: no component is called %q, want one of %s", name, strings.Join(optional(), ", "))
		}
		if slices.Contains(required, name) {
			return fmt.Errorf("without: no cluster works without %s", name)
		}
	}
	for _, name := range o.With {
		if !slices.Contains(extraComponents, name) {
			return fmt.Errorf("with: no extra component is called %q, want one of %s", name, strings.Join(extraComponents, ", "))
		}
	}
	for name := range o.Args {
		if !slices.Contains(componentNames, name) {
			return fmt.Errorf("args: no component is called %q", name)
		}
	}
	if slices.Contains(o.With, DovetailStandby) && o.without(Dovetail) {
		return fmt.Errorf("with: %s needs %s", DovetailStandby, Dovetail)
	}
	if !slices.Contains(batchSchedulers, o.KubeRayBatchScheduler) {
		return fmt.Errorf("kuberay-batch-scheduler: KubeRay knows no %q", o.KubeRayBatchScheduler)
	}
	if _, err := parseGates(o.FeatureGates); err != nil {
		return fmt.Errorf("feature-gates: %w", err)
	}
	return o.validateFleets()
}

func (o Options) validateFleets() error {
	for _, spec := range o.Fleets {
		if err := spec.Validate(); err != nil {
			return fmt.Errorf("fleet %q: %w", spec.Name, err)
		}
	}
	if len(o.Fleets) > 0 && (o.without(Kwok) || o.without(ControllerManager)) {
		return fmt.Errorf("without: a fleet needs %s and %s, or its nodes never become ready", Kwok, ControllerManager)
	}
	return fleet.CheckDistinct(o.Fleets)
}

func (o Options) without(name string) bool {
	return slices.Contains(o.Without, name) || slices.Contains(extraComponents, name) && !slices.Contains(o.With, name)
}

// components returns the components of the cluster, in start order.
func (o Options) components() []string {
	return slices.DeleteFunc(slices.Clone(componentNames), o.without)
}

func optional() []string {
	return slices.DeleteFunc(slices.Clone(componentNames), func(name string) bool {
		return slices.Contains(required, name) || slices.Contains(extraComponents, name)
	})
}

// gatedAPIs are the API versions that the API server serves only if a feature gate needs
// them.
var gatedAPIs = []struct{ gate, version string }{
	{"GenericWorkload", "scheduling.k8s.io/v1beta1"},
	{"CompositePodGroup", "scheduling.k8s.io/v1alpha3"},
	{"DRAResourcePoolStatus", "resource.k8s.io/v1alpha3"},
	{"AllAlpha", "api/alpha"},
	{"AllBeta", "api/beta"},
}

// runtimeConfig returns the API server's --runtime-config for the feature gates.
func (o Options) runtimeConfig() string {
	gates, err := parseGates(o.FeatureGates)
	if err != nil {
		return "" // Validate has rejected such gates.
	}
	var versions []string
	for _, api := range gatedAPIs {
		if gates[api.gate] {
			versions = append(versions, api.version+"=true")
		}
	}
	return strings.Join(versions, ",")
}

// parseGates reads "A=true,B=false". The components reject unknown gates.
func parseGates(text string) (map[string]bool, error) {
	gates := map[string]bool{}
	for _, pair := range strings.Split(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		switch strings.ToLower(value) {
		case "true":
			gates[name] = true
		case "false":
			gates[name] = false
		default:
			return nil, fmt.Errorf("%q is not NAME=true or NAME=false", pair)
		}
	}
	return gates, nil
}
