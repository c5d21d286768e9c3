// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Limits and intervals for the creation of a fleet's nodes.
const (
	// creators is the number of nodes that are created at a time.
	creators = 32
	// stallTimeout is the longest wait for the next node to become ready.
	stallTimeout = 50 * time.Second
	// quietInterval is the interval of readiness checks, which read the informer's cache and
	// send no requests.
	quietInterval = 50 * time.Millisecond
)

// createFleets creates device classes, nodes and their ResourceSlices, and waits until every
// node takes pods. It waits for controllers to be closed first: no node takes pods before.
func (c *Cluster) createFleets(ctx context.Context, controllers <-chan struct{}) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	for _, class := range fleet.Classes() {
		_, err := client.ResourceV1().DeviceClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("creating DeviceClass %s: %w", class.Name, err)
		}
	}
	if err := c.CreateNodes(ctx, c.allNodes()); err != nil {
		return err
	}
	if len(c.options.Fleets) == 0 {
		return nil
	}
	if err := waitFor(ctx, controllers); err != nil {
		return err
	}
	return c.awaitFleets(ctx)
}

// CreateNodes creates nodes and their ResourceSlices, many at a time. It does not change existing nodes.
func (c *Cluster) CreateNodes(ctx context.Context, nodes iter.Seq[fleet.Node]) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for node := range nodes {
		group.Go(func() error { return c.createNode(ctx, client, node) })
	}
	return group.Wait()
}

func (c *Cluster) createNode(ctx context.Context, client kubernetes.Interface, node fleet.Node) error {
	object := node.Object()
	object.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(c.ports.Kwok)
	created, err := client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating node %s: %w", node.Name(), err)
	}
	slices := node.Slices()
	fleet.Own(slices, created)
	for _, slice := range slices {
		if _, err := client.ResourceV1().ResourceSlices().Create(ctx, slice, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating ResourceSlice %s: %w", slice.Name, err)
		}
	}
	return nil
}

func (c *Cluster) allNodes() iter.Seq[fleet.Node] {
	return func(yield func(fleet.Node) bool) {
		for _, spec := range c.options.Fleets {
			for node := range spec.All() {
				if !yield(node) {
					return
				}
			}
		}
	}
}

// awaitFleets waits until every node of every fleet takes pods. It returns an error when no
// node becomes ready for stallTimeout.
func (c *Cluster) awaitFleets(ctx context.Context) error {
	want := 0
	for _, spec := range c.options.Fleets {
		want += spec.Size()
	}
	if want == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nodes, err := c.watchNodes(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	for best, changed := -1, started; ; {
		ready, err := countReady(nodes)
		if err != nil {
			return err
		}
		if ready >= want {
			fmt.Fprintf(c.out, "%d nodes are ready (%s)\n", want, time.Since(started).Round(probeInterval))
			return nil
		}
		if ready > best {
			best, changed = ready, time.Now()
		}
		if time.Since(changed) > stallTimeout {
			return c.componentError(Kwok, fmt.Errorf("%d of %d nodes are ready, and no further node became ready in %s", ready, want, stallTimeout))
		}
		if err := sleep(ctx, quietInterval); err != nil {
			return fmt.Errorf("waiting for %d nodes (%d are ready): %w", want, ready, err)
		}
	}
}

// watchNodes returns a lister of the fleets' nodes. An informer updates it until the
// context ends.
func (c *Cluster) watchNodes(ctx context.Context) (corelisters.NodeLister, error) {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = fleet.LabelFleet }))
	nodes := factory.Core().V1().Nodes()
	informer := nodes.Informer()
	factory.Start(ctx.Done())
	for !informer.HasSynced() {
		if err := sleep(ctx, quietInterval); err != nil {
			return nil, fmt.Errorf("listing nodes: %w", err)
		}
	}
	return nodes.Lister(), nil
}

func countReady(lister corelisters.NodeLister) (int, error) {
	nodes, err := lister.List(labels.Everything())
	if err != nil {
		return 0, err
	}
	ready := 0
	for _, node := range nodes {
		if takesPods(node) {
			ready++
		}
	}
	return ready, nil
}

// takesPods reports whether the node is ready and the node lifecycle controller has removed its taint.
func takesPods(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
