// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/invariants"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// bindsTake is the time that the binds of a gang may take besides outages. A binding that
	// fails is tried again after a backoff of at most 10 seconds, and may fail again.
	bindsTake = 30 * time.Second
	// staleness is the age that the scheduler's view of the cluster may have: faults stall its
	// watches for seconds.
	staleness = 10 * time.Second
)

// rig is a cluster with everything that the faults and the load (the gangs that come and go)
// need.
type rig struct {
	cluster  *localcluster.Cluster
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	checker  *invariants.Checker
	counts   *counts
	proxies  []*proxy
	webhook  *webhook
	programs *programs
	machines *machines
	load     *load

	// busy has a lock for each program, node, namespace and the webhook. Each has one fault at
	// a time.
	busy sync.Map
	// judged is the number of violations that have failed the test.
	judged int
}

// chaosFleet has 16 nodes with 8 GPUs and 8 NICs each.
var chaosFleet = fleet.Spec{Name: "ndh100v5", Shape: fleet.NDH100v5, Spines: 2, Leaves: 2, Nodes: 4, Zone: "zone-1"}

// leaderElection are the flags with which the standby replica takes over within seconds.
var leaderElection = []string{
	"--leader-elect-lease-duration=5s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s",
}

// start starts a cluster and all parts of the rig but the load and the faults.
func start(t *testing.T, options Options) (*rig, error) {
	ctx := t.Context()
	r := &rig{counts: newCounts()}
	spec := chaosFleet
	spec.PlacementGroup = "chaos"
	with, programNames := []string{localcluster.JobSet}, []string{
		localcluster.Etcd, localcluster.APIServer, localcluster.ControllerManager, localcluster.Kwok,
		localcluster.KubeRay, localcluster.JobSet, localcluster.Dovetail,
	}
	if options.Replicas > 1 {
		with, programNames = append(with, localcluster.DovetailStandby), append(programNames, localcluster.DovetailStandby)
	}
	var err error
	r.cluster, err = localcluster.Start(ctx, localcluster.Options{
		Fleets: []fleet.Spec{spec}, FeatureGates: "GenericWorkload=true", With: with, Without: []string{localcluster.Scheduler},
		Args: map[string][]string{localcluster.Dovetail: leaderElection, localcluster.DovetailStandby: leaderElection},
		DovetailServer: func(_ string, apiServer *rest.Config) (*rest.Config, error) {
			proxy, err := newProxy(apiServer, r.counts)
			if err != nil {
				return nil, err
			}
			r.proxies = append(r.proxies, proxy)
			return proxy.config(), nil
		},
	})
	if err != nil {
		return nil, err
	}
	if err := r.prepare(t, options, spec, programNames); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *rig) prepare(t *testing.T, options Options, spec fleet.Spec, programNames []string) error {
	ctx, cfg := t.Context(), r.cluster.AdminConfig()
	cfg.QPS = -1
	r.client, r.dynamic = kubernetes.NewForConfigOrDie(cfg), dynamic.NewForConfigOrDie(cfg)
	r.machines = newMachines(r.client, spec)
	r.load = newLoad(r.client, r.dynamic, options.Seed, spec.Size()*3/4)
	r.webhook = newWebhook(r.counts)
	if err := r.webhook.install(ctx, r.client); err != nil {
		return fmt.Errorf("installing the webhook: %w", err)
	}
	if err := r.install(t); err != nil {
		return err
	}
	for i := range namespaces {
		if err := r.restoreNamespace(ctx, namespaceName(i)); err != nil {
			return err
		}
	}
	var err error
	r.checker, err = invariants.Watch(context.Background(), cfg, invariants.Options{Grace: bindsTake, Settle: staleness})
	if err != nil {
		return err
	}
	r.programs = &programs{
		cluster: r.cluster, client: r.client, checker: r.checker, names: programNames, logf: t.Logf,
		held: map[string]time.Time{}, started: map[string]int{},
	}
	return nil
}

func (r *rig) stop() error {
	if r.checker != nil {
		r.checker.Stop()
	}
	err := r.cluster.Stop()
	for _, proxy := range r.proxies {
		proxy.stop()
	}
	if r.webhook != nil {
		r.webhook.server.CloseClientConnections()
		r.webhook.server.Close()
	}
	return err
}

// loose are the kinds for which no Go module of the cluster has a CustomResourceDefinition.
var loose = []struct {
	resource schema.GroupVersionResource
	kind     string
}{
	{schema.GroupVersionResource{Group: "scheduling.volcano.sh", Version: "v1beta1", Resource: "podgroups"}, "PodGroup"},
	{schema.GroupVersionResource{Group: "leaderworkerset.x-k8s.io", Version: "v1", Resource: "leaderworkersets"}, "LeaderWorkerSet"},
}

// install creates the CustomResourceDefinitions of the loose kinds. They accept any content.
func (r *rig) install(t *testing.T) error {
	ctx := t.Context()
	for _, kind := range loose {
		definition := harness.LooseDefinition(t, kind.resource.GroupResource(), kind.kind, kind.resource.Version)
		if err := present(r.dynamic.Resource(harness.Definitions).Create(ctx, definition, metav1.CreateOptions{})); err != nil {
			return fmt.Errorf("installing %s: %w", kind.resource, err)
		}
	}
	for _, kind := range loose {
		for ctx.Err() == nil {
			if _, err := r.dynamic.Resource(kind.resource).List(ctx, metav1.ListOptions{}); err == nil {
				break
			}
			sleep(ctx, watchStep)
		}
	}
	return ctx.Err()
}

// restoreNamespace creates a namespace with the claim templates of the load.
func (r *rig) restoreNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := present(r.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})); err != nil {
		return err
	}
	for template, count := range templates {
		exactly := func(name, class string) resourceapi.DeviceRequest {
			return resourceapi.DeviceRequest{Name: name, Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: class, Count: count}}
		}
		object := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: template}}
		object.Spec.Spec.Devices.Requests = []resourceapi.DeviceRequest{exactly("gpus", fleet.ClassGPU), exactly("nics", fleet.ClassRDMA)}
		if err := present(r.client.ResourceV1().ResourceClaimTemplates(name).Create(ctx, object, metav1.CreateOptions{})); err != nil {
			return err
		}
	}
	return nil
}

// present returns the error of a creation, nil if the object exists already.
func present[T any](_ T, err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// errBusy is the error of a fault that does not happen, because the program or object has a
// fault already.
var errBusy = errors.New("it has a fault already")

// alone calls a function that causes and ends a fault of a program or object (thing), unless it
// has a fault already.
func (r *rig) alone(thing string, do func() error) error {
	lock, _ := r.busy.LoadOrStore(thing, &sync.Mutex{})
	if !lock.(*sync.Mutex).TryLock() {
		return errBusy
	}
	defer lock.(*sync.Mutex).Unlock()
	return do()
}
