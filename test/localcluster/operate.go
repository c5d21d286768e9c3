// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/internal/process"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// ComponentError reports the failure of a component, with the end of its log.
type ComponentError struct {
	// Component is its name.
	Component string
	// LogFile is the path of its log; Tail holds the last lines.
	LogFile, Tail string
	// Err is the cause.
	Err error
}

// Error returns the component, the cause and the end of the log.
func (e *ComponentError) Error() string {
	return fmt.Sprintf("%s did not come up: %v\nthe end of %s:\n%s", e.Component, e.Err, e.LogFile, e.Tail)
}

// Unwrap returns the cause.
func (e *ComponentError) Unwrap() error { return e.Err }

// StartComponent starts a component that is not running and waits until it is ready. It
// appends extra to the usual arguments.
func (c *Cluster) StartComponent(ctx context.Context, name string, extra ...string) error {
	if name == Kwok {
		if err := c.freeNodes(ctx); err != nil {
			return err
		}
	}
	if err := c.launch(name, extra...); err != nil {
		return err
	}
	return c.await(ctx, name)
}

// freeNodes deletes the leases of all nodes. Otherwise a new KWOK manages the nodes' pods
// only after the leases of the former KWOK expire.
func (c *Cluster) freeNodes(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if err := leases.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return fmt.Errorf("deleting the nodes' leases: %w", err)
	}
	return nil
}

// Restart ends a component if it runs, starts it with its usual arguments and waits until
// it is ready.
func (c *Cluster) Restart(ctx context.Context, name string) error {
	if err := c.Terminate(name); err != nil {
		return err
	}
	return c.StartComponent(ctx, name)
}

// Terminate ends a component by SIGTERM, or by SIGKILL after a grace period, and waits
// until the process has ended.
func (c *Cluster) Terminate(name string) error {
	return c.stop(name, stopGrace)
}

// Kill ends a component by SIGKILL and waits until the process has ended.
func (c *Cluster) Kill(name string) error {
	return c.stop(name, 0)
}

// Running reports whether the process of a component is alive.
func (c *Cluster) Running(name string) bool { return c.process(name).Alive() }

// Ready returns nil if a component is running and healthy.
func (c *Cluster) Ready(ctx context.Context, name string) error { return c.check(ctx, name) }

// Signal sends a signal to a component and returns at once.
func (c *Cluster) Signal(name string, signal syscall.Signal) error {
	return c.process(name).Signal(signal)
}

// LogFile returns the path of a component's log.
func (c *Cluster) LogFile(name string) string { return c.layout.log(name) }

// Logs returns the log of a component.
func (c *Cluster) Logs(name string) (string, error) {
	content, err := os.ReadFile(c.layout.log(name))
	if err != nil {
		return "", fmt.Errorf("reading the log of %s: %w", name, err)
	}
	return string(content), nil
}

// Metrics returns a component's metrics in Prometheus' text format.
func (c *Cluster) Metrics(ctx context.Context, name string) (string, error) {
	component, err := c.component(name)
	if err != nil {
		return "", err
	}
	metrics, err := c.get(ctx, component.metrics)
	if err != nil {
		return "", fmt.Errorf("reading the metrics of %s: %w", name, err)
	}
	return metrics, nil
}

var gateMetric = regexp.MustCompile(`kubernetes_feature_enabled\{name="(\w+)",stage="\w*"\} (\d)`)

// Gates returns the feature gates of a component built from Kubernetes, as its metrics list them.
func (c *Cluster) Gates(ctx context.Context, name string) (map[string]bool, error) {
	metrics, err := c.Metrics(ctx, name)
	if err != nil {
		return nil, err
	}
	gates := map[string]bool{}
	for _, found := range gateMetric.FindAllStringSubmatch(metrics, -1) {
		gates[found[1]] = found[2] == "1"
	}
	if len(gates) == 0 {
		return nil, fmt.Errorf("the metrics of %s name no feature gate", name)
	}
	return gates, nil
}

func (c *Cluster) process(name string) process.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[name]
}

func (c *Cluster) stop(name string, grace time.Duration) error {
	if _, err := c.component(name); err != nil {
		return err
	}
	if id := c.process(name); id.Alive() {
		return process.Stop([]process.Identity{id}, grace)
	}
	return nil
}

// launch starts a component and records its process.
func (c *Cluster) launch(name string, extra ...string) error {
	component, err := c.component(name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.processes[name].Alive() {
		return fmt.Errorf("%s is already running", name)
	}
	started, err := process.Start(process.Command{
		Path: c.builder.Path(component.binary), Args: slices.Concat(component.args, c.options.Args[name], extra),
		Env: component.env, Dir: string(c.layout), LogFile: c.layout.log(name), DieWithParent: c.bound,
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	c.processes[name] = started
	return c.writeRecord()
}

// writeRecord writes the record of the cluster. The caller holds mu.
func (c *Cluster) writeRecord() error {
	options, err := c.options.describe()
	if err != nil {
		return err
	}
	return c.layout.writeRecord(record{Options: options, Complete: c.complete, Ports: c.ports, Processes: c.processes})
}

// await waits until a component is ready. It fails at once if the process ends.
func (c *Cluster) await(ctx context.Context, name string) error {
	component, err := c.component(name)
	if err != nil {
		return err
	}
	started := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	for {
		problem := c.probe(bounded, component.health)
		if problem == nil {
			fmt.Fprintf(c.out, "%s is ready (%s)\n", name, time.Since(started).Round(probeInterval))
			return nil
		}
		if !c.process(name).Alive() {
			return c.componentError(name, errEnded)
		}
		select {
		case <-bounded.Done():
			return c.componentError(name, fmt.Errorf("%w: %w", context.Cause(bounded), problem))
		case <-time.After(probeInterval):
		}
	}
}

// check returns nil when a component is running and healthy.
func (c *Cluster) check(ctx context.Context, name string) error {
	component, err := c.component(name)
	if err != nil {
		return err
	}
	if !c.process(name).Alive() {
		return errEnded
	}
	return c.probe(ctx, component.health)
}

// errEnded is the error of a component without a process.
var errEnded = errors.New("the process has ended")

func (c *Cluster) componentError(name string, err error) error {
	file := c.layout.log(name)
	return &ComponentError{Component: name, LogFile: file, Tail: tail(file, logTail), Err: err}
}

// tail returns the last lines of a file.
func tail(file string, count int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-count):], "\n  ")
}

// probe returns nil if the URL returns 200.
func (c *Cluster) probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := c.get(ctx, url)
	return err
}

// get reads a URL of a component. For the API server it uses the administrator's
// credentials.
func (c *Cluster) get(ctx context.Context, url string) (body string, err error) {
	client, err := c.client(url)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(content)))
	}
	return string(content), nil
}

// client returns a client that trusts the cluster's authority. Only for the API server it
// has the administrator's credentials.
func (c *Cluster) client(url string) (*http.Client, error) {
	if strings.HasPrefix(url, c.serverURL()+"/") {
		return rest.HTTPClientFor(c.admin)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.admin.CAData)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}, nil
}
