// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"
	kubeversion "k8s.io/component-base/version"
)

// version is Dovetail's version. A release build sets it with -ldflags "-X
// main.version=v1.2.3".
var version = "v0.1.0-dev"

// printVersion prints the versions for --version and returns true. It returns false for
// other forms of the flag (raw, or a version to report), which upstream handles.
func printVersion(out io.Writer, flags *pflag.FlagSet) bool {
	if flags.Lookup("version").Value.String() != "true" {
		return false
	}
	fmt.Fprintf(out, "Dovetail %s (Kubernetes %s, %s, %s/%s)\n",
		version, kubernetesVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return true
}

// kubernetesVersion returns the version set by Kubernetes' own -ldflags. In a plain build
// it returns the version of the k8s.io/kubernetes module.
func kubernetesVersion() string {
	if v := kubeversion.Get().GitVersion; !strings.HasPrefix(v, "v0.0.0-") {
		return v
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range info.Deps {
		if module.Path == "k8s.io/kubernetes" {
			return module.Version
		}
	}
	return "unknown"
}
