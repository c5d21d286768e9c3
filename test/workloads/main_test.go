// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/dovetail-dev/dovetail/test/localcluster"
)

// admin is the configuration of an administrator of the API server. All tests use the
// same server in sequence.
var admin *rest.Config

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	c, err := localcluster.Start(context.Background(), localcluster.Options{
		Without: []string{
			localcluster.ControllerManager, localcluster.Scheduler, localcluster.Kwok, localcluster.KubeRay, localcluster.Dovetail,
		},
		Out: os.Stderr,
	})
	if err != nil {
		return 0, fmt.Errorf("starting an API server: %w", err)
	}
	admin = c.AdminConfig()
	code := m.Run()
	if err := c.Stop(); err != nil {
		return code, fmt.Errorf("stopping the API server: %w", err)
	}
	return code, nil
}
