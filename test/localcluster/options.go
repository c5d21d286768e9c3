// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
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
)

// componentNames is every component, in the order of starting.
var componentNames = []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok, KubeRay, JobSet, Dovetail}

// extraComponents are the components that a cluster has only when it asks for them.
var extraComponents = []string{JobSet}

// required are the components that no cluster can be without.
var required = []string{Etcd, APIServer}

// batchSchedulers are what KubeRay's operator takes for -batch-scheduler.
var batchSchedulers = []string{"", "scheduler-plugins", "volcano", "yunikorn", "kai-scheduler"}

// Options say what cluster to run. The zero value is a cluster of all components but the extra ones, without nodes.
type Options struct {
	// Dir holds everything about the cluster. Empty means a directory of its own under .cache/clusters for Start, which
	// Stop removes, and .cache/cluster for Up.
	Dir string
	// Fleets are the nodes.
	Fleets []fleet.Spec
	// FeatureGates is given to every component of Kubernetes, as in "GenericWorkload=true". API versions that the gates
	// need are served, by which Dovetail finds out which gates it needs.
	FeatureGates string
	// KubeRayBatchScheduler is the operator's -batch-scheduler, for instance scheduler-plugins.
	KubeRayBatchScheduler string
	// Without names components that are left out.
	Without []string
	// With names extra components: jobset, the JobSet controller.
	With []string
	// Args are further arguments of a component by its name. They stand behind the usual ones and so override them.
	Args map[string][]string
	// DovetailConfig is a KubeSchedulerConfiguration to run Dovetail with, in place of the one of manifests/. Its
	// clientConnection.kubeconfig is filled in.
	DovetailConfig []byte
	// Out is told about progress. Nil keeps quiet.
	Out io.Writer
}

// Validate names the option that does not hold.
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

// components are those that the cluster has, in the order of starting.
func (o Options) components() []string {
	return slices.DeleteFunc(slices.Clone(componentNames), o.without)
}

func optional() []string {
	return slices.DeleteFunc(slices.Clone(componentNames), func(name string) bool {
		return slices.Contains(required, name) || slices.Contains(extraComponents, name)
	})
}

// gatedAPIs are the API versions that are off unless a feature gate needs them.
var gatedAPIs = []struct{ gate, version string }{
	{"GenericWorkload", "scheduling.k8s.io/v1beta1"},
	{"CompositePodGroup", "scheduling.k8s.io/v1alpha3"},
	{"DRAResourcePoolStatus", "resource.k8s.io/v1alpha3"},
	{"AllAlpha", "api/alpha"},
	{"AllBeta", "api/beta"},
}

// runtimeConfig is the API server's --runtime-config that goes with the gates.
func (o Options) runtimeConfig() string {
	gates, err := parseGates(o.FeatureGates)
	if err != nil {
		return "" // Validate has refused such gates.
	}
	var versions []string
	for _, api := range gatedAPIs {
		if gates[api.gate] {
			versions = append(versions, api.version+"=true")
		}
	}
	return strings.Join(versions, ",")
}

// parseGates reads "A=true,B=false". Whether a gate exists is for the components to say.
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
