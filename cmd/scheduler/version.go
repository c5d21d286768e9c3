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

// version is Dovetail's; a release build sets it with
// -ldflags "-X main.version=v1.2.3".
var version = "v0.1.0-dev"

// printVersion answers --version, and reports whether it was asked to. Other
// forms of the flag (raw, or a version to claim) stay upstream's.
func printVersion(out io.Writer, flags *pflag.FlagSet) bool {
	if flags.Lookup("version").Value.String() != "true" {
		return false
	}
	fmt.Fprintf(out, "Dovetail %s (Kubernetes %s, %s, %s/%s)\n",
		version, kubernetesVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return true
}

// kubernetesVersion is the version that Kubernetes' own -ldflags set or, in a
// plain build, that of the module this binary was built from.
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
