// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/dovetail-dev/dovetail/manifests"
)

// useBuiltInConfig sets --config to the built-in configuration, unless the user set it. The
// caller closes the returned closer once the scheduler has ended.
//
// Upstream (the stock kube-scheduler) reads a configuration only from a file. The file is a
// pipe, which leaves nothing on disk and works with a read-only root filesystem.
func useBuiltInConfig(flags *pflag.FlagSet) (io.Closer, error) {
	if flags.Changed("config") {
		return io.NopCloser(nil), nil
	}
	text, err := builtInConfig(flags)
	if err != nil {
		return nil, err
	}
	reader, err := pipe(text)
	if err != nil {
		return nil, err
	}
	return reader, flags.Set("config", fmt.Sprintf("/dev/fd/%d", reader.Fd()))
}

// builtInConfig returns the embedded configuration as YAML. It applies the flags that
// upstream applies only without a configuration file.
func builtInConfig(flags *pflag.FlagSet) ([]byte, error) {
	var cfg kubeschedulerv1.KubeSchedulerConfiguration
	if err := yaml.UnmarshalStrict(manifests.SchedulerConfig, &cfg); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	if err := applyFlags(flags, &cfg); err != nil {
		return nil, err
	}
	return yaml.Marshal(&cfg)
}

func applyFlags(flags *pflag.FlagSet, cfg *kubeschedulerv1.KubeSchedulerConfiguration) error {
	client := &cfg.ClientConnection
	return errors.Join(
		override(flags, "kubeconfig", flags.GetString, &client.Kubeconfig),
		override(flags, "kube-api-content-type", flags.GetString, &client.ContentType),
		override(flags, "kube-api-qps", flags.GetFloat32, &client.QPS),
		override(flags, "kube-api-burst", flags.GetInt32, &client.Burst),
		overridePointer(flags, "profiling", flags.GetBool, &cfg.EnableProfiling),
		overridePointer(flags, "contention-profiling", flags.GetBool, &cfg.EnableContentionProfiling),
	)
}

// override sets the field to the flag's value if the flag is set.
func override[T any](flags *pflag.FlagSet, name string, get func(string) (T, error), field *T) error {
	if !flags.Changed(name) {
		return nil
	}
	value, err := get(name)
	if err != nil {
		return fmt.Errorf("reading flag --%s: %w", name, err)
	}
	*field = value
	return nil
}

func overridePointer[T any](flags *pflag.FlagSet, name string, get func(string) (T, error), field **T) error {
	value := new(T)
	if err := override(flags, name, get, value); err != nil {
		return err
	}
	if flags.Changed(name) {
		*field = value
	}
	return nil
}

// maxPipe is the number of bytes that a pipe buffers without a reader on every system.
const maxPipe = 16 << 10

// pipe returns the read end of a pipe filled with text.
func pipe(text []byte) (*os.File, error) {
	if len(text) > maxPipe {
		return nil, fmt.Errorf("it has %d bytes, more than the %d that a pipe holds", len(text), maxPipe)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	_, err = writer.Write(text)
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, fmt.Errorf("filling the pipe: %w", errors.Join(err, reader.Close()))
	}
	return reader, nil
}
