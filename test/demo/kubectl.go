// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// manifests are the demo's objects, and examples for users.
//
//go:embed *.yaml
var manifests embed.FS

// kubectl runs the real kubectl against the demo's cluster.
type kubectl struct {
	cluster *localcluster.Cluster
}

// run runs kubectl and returns its output. It passes a manifest on standard input, so the
// demo does not depend on its working directory.
func (k kubectl) run(ctx context.Context, arguments ...string) (string, error) {
	command := k.cluster.Kubectl(ctx, "--namespace", namespace)
	for _, argument := range arguments {
		if content, err := manifests.ReadFile(argument); err == nil {
			command.Stdin = bytes.NewReader(content)
			argument = "-"
		}
		command.Args = append(command.Args, argument)
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(output), nil
}

// section returns the part of the output of kubectl describe that starts at a heading.
func section(description, heading string) string {
	at := strings.Index(description, heading)
	if at < 0 {
		return description
	}
	return description[at:]
}
