// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/dovetail-dev/dovetail/manifests"
	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
	"github.com/dovetail-dev/dovetail/pkg/plugins/gang"
	"github.com/dovetail-dev/dovetail/pkg/plugins/topology"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// namespace and profile are those of every pod in a scene.
const (
	namespace = "ml"
	profile   = "dovetail"
)

// scene is the real scheduler with the shipped configuration over a few objects.
// Only the API server is client-go's, and the objects that declare gangs are held
// in memory.
type scene struct {
	*testing.T
	client *fake.Clientset
	// start are the objects that exist before the scheduler does.
	start    []runtime.Object
	declared *declared
	recorder *recorder
	// gangArgs are lines of GangArgs, topologyArgs is the one of TopologyArgs.
	gangArgs     []string
	topologyArgs string
	// evictions is the API server's answer to evictions, nil if it allows them.
	evictions error
	// filter is a Filter plugin of the scene's own, nil for none.
	filter fwk.Plugin
	// unbindable is the name of a pod whose binding is refused.
	unbindable string
}

func newScene(t *testing.T) *scene {
	return &scene{
		T: t, declared: &declared{objects: map[gangs.Key]any{}}, recorder: &recorder{},
		gangArgs: []string{"reportDelay: 20ms"}, topologyArgs: "preset: topograph",
	}
}

// nodes adds the nodes of a fleet, with their devices.
func (s *scene) nodes(fleetText string) {
	s.Helper()
	spec, err := fleet.Parse(fleetText)
	if err != nil {
		s.Fatal(err)
	}
	for node := range spec.All() {
		s.start = append(s.start, node.Object())
		for _, slice := range node.Slices() {
			s.start = append(s.start, slice)
		}
	}
}

// run starts the scheduler.
func (s *scene) run() {
	s.Helper()
	for _, class := range fleet.Classes() {
		s.start = append(s.start, class)
	}
	s.client = fake.NewClientset(s.start...)
	s.client.PrependReactor("create", "pods", s.subresource)
	ctx, cancel := context.WithCancel(context.Background())
	factory := scheduler.NewInformerFactory(s.client, 0, nil)
	cfg := s.configuration()
	s.enableFilter(&cfg.Profiles[0])
	sched, err := scheduler.New(ctx, s.client, factory, nil,
		func(string) events.EventRecorderLogger { return s.recorder },
		scheduler.WithProfiles(cfg.Profiles[:1]...),
		scheduler.WithFrameworkOutOfTreeRegistry(s.registry(ctx)),
		scheduler.WithPodInitialBackoffSeconds(1), scheduler.WithPodMaxBackoffSeconds(1))
	if err != nil {
		cancel()
		s.Fatalf("making the scheduler: %v", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		s.Fatalf("starting the scheduler: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sched.Run(ctx)
	}()
	s.Cleanup(func() {
		cancel()
		<-done
		factory.Shutdown()
	})
}

// configuration is the shipped one, with the arguments of this scene.
func (s *scene) configuration() *schedulerconfig.KubeSchedulerConfiguration {
	s.Helper()
	const before, preset = "  - name: Gang\n    args:\n", "preset: topograph"
	text := string(manifests.SchedulerConfig)
	if !strings.Contains(text, before) || !strings.Contains(text, preset) {
		s.Fatal("the shipped configuration has no arguments where this test expects them")
	}
	more := before
	for _, line := range s.gangArgs {
		more += "      " + line + "\n"
	}
	text = strings.Replace(strings.Replace(text, before, more, 1), preset, s.topologyArgs, 1)
	obj, _, err := scheme.Codecs.UniversalDecoder().Decode([]byte(text), nil, nil)
	if err != nil {
		s.Fatalf("reading the configuration: %v", err)
	}
	return obj.(*schedulerconfig.KubeSchedulerConfiguration)
}

// registry has our plugins over the objects of this scene.
func (s *scene) registry(ctx context.Context) frameworkruntime.Registry {
	metrics.Register()
	none := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	s.declared.ended = none.Core().V1().Pods().Informer()
	go s.declared.ended.RunWithContext(ctx)
	profiles, gates := &cluster.Profiles{}, &gang.Gates{}
	return frameworkruntime.Registry{
		teamsApart{}.Name(): s.newFilter,
		slowSearch{}.Name(): s.newFilter,
		gang.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return gang.New(ctx, args, handle, gang.Parts{
				Shared: s.declared, Profile: profiles.Of(handle.ProfileName()), Gates: gates,
				Filters: []string{gang.Name, draaware.Name},
			})
		},
		gang.GateName: func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return gang.NewGate(handle, gates)
		},
		topology.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return topology.New(ctx, args, handle, profiles.Of(handle.ProfileName()))
		},
		draaware.Name: func(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
			return draaware.New(ctx, args, handle, profiles.Of(handle.ProfileName()))
		},
	}
}

// subresource does what the API server makes of a binding and of an eviction.
func (s *scene) subresource(action clienttesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(clienttesting.CreateAction)
	if !ok {
		return false, nil, nil
	}
	pods := v1.SchemeGroupVersion.WithResource("pods")
	switch object := create.GetObject().(type) {
	case *v1.Binding:
		if object.Name == s.unbindable {
			return true, nil, apierrors.NewForbidden(pods.GroupResource(), object.Name, errors.New("not now"))
		}
		stored, err := s.client.Tracker().Get(pods, namespace, object.Name)
		if err != nil {
			return true, nil, err
		}
		pod := stored.(*v1.Pod).DeepCopy()
		pod.Spec.NodeName = object.Target.Name
		return true, nil, s.client.Tracker().Update(pods, pod, namespace)
	case *policyv1.Eviction:
		if s.evictions != nil {
			return true, nil, s.evictions
		}
		return true, nil, s.client.Tracker().Delete(pods, namespace, object.Name)
	}
	return false, nil, nil
}

// create makes a pod while the scheduler runs.
func (s *scene) create(name string, changes ...change) {
	s.Helper()
	if _, err := s.client.CoreV1().Pods(namespace).Create(s.Context(), s.newPod(name, changes...), metav1.CreateOptions{}); err != nil {
		s.Fatalf("creating pod %s: %v", name, err)
	}
}

// untilSaid waits until a pod says the words.
func (s *scene) untilSaid(name, words string) {
	s.Helper()
	err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		pod, err := s.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && strings.Contains(condition(pod), words), err
	})
	if err != nil {
		s.Fatalf("waited %v in vain for pod %s to say %q: %v", patience, name, words, err)
	}
}
