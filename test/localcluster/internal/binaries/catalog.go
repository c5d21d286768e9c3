// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Go modules whose files the cluster reads at run time.
const (
	ModuleKwok             = "sigs.k8s.io/kwok"
	ModuleKubeRay          = "github.com/ray-project/kuberay/ray-operator"
	ModuleSchedulerPlugins = "sigs.k8s.io/scheduler-plugins"
	ModuleKubernetes       = "k8s.io/kubernetes"
	ModuleJobSet           = "sigs.k8s.io/jobset"
)

// kubeRayDir holds the Go module that pins the KubeRay operator, because the operator needs
// an older Kubernetes than the other programs.
var kubeRayDir = filepath.Join("test", "localcluster", "kuberay")

// jobSetDir holds the Go module that pins the JobSet controller. It uses the Kubernetes
// modules of the other programs instead of the older versions that the controller requires:
// they are compiled already, and the build takes a tenth of the time.
var jobSetDir = filepath.Join("test", "localcluster", "jobset")

// binary is a program and its source.
type binary struct {
	name string
	// pkg is the Go package of its main function.
	pkg string
	// moduleDir is the directory of the build, relative to the root of the repository.
	moduleDir string
	// kubernetes is true if the program reports Kubernetes' version.
	kubernetes bool
	// ours is true if the source is in this repository. Only the compiler can then check
	// whether the program is up to date.
	ours bool
}

// catalog lists the programs in build order. Programs that share most packages with others come
// first.
var catalog = []binary{
	{name: "etcd", pkg: "go.etcd.io/etcd/server/v3"},
	{name: "kube-apiserver", pkg: "k8s.io/kubernetes/cmd/kube-apiserver", kubernetes: true},
	{name: "kube-controller-manager", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager", kubernetes: true},
	{name: "kube-scheduler", pkg: "k8s.io/kubernetes/cmd/kube-scheduler", kubernetes: true},
	{name: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl", kubernetes: true},
	{name: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok"},
	{name: "kuberay-operator", pkg: ModuleKubeRay, moduleDir: kubeRayDir},
	{name: "jobset-controller", pkg: ModuleJobSet, moduleDir: jobSetDir},
	{name: "dovetail-scheduler", pkg: "./cmd/scheduler", kubernetes: true, ours: true},
}

// Names lists every program, in build order.
func Names() []string {
	var names []string
	for _, binary := range catalog {
		names = append(names, binary.name)
	}
	return names
}

// selected returns the catalog's entries with the given names, in the catalog's order.
func selected(names []string) ([]binary, error) {
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("no binary is called %q", name)
		}
	}
	var chosen []binary
	for _, binary := range catalog {
		if slices.Contains(names, binary.name) {
			chosen = append(chosen, binary)
		}
	}
	return chosen, nil
}
