// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	upstream "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/integration/util"
	"k8s.io/kubernetes/test/utils/client-go/ktesting"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

const (
	// restartLabel marks the workloads in which the measured scheduler starts late.
	restartLabel = "restart"
	// waitingNamespace is the namespace of the pods that wait for the late scheduler.
	waitingNamespace = "waiting"
	// restartMetric holds durations from the start of a late scheduler, in seconds.
	restartMetric = "Restart"
)

// restart starts the measured scheduler in a full cluster. Upstream's harness starts its
// own scheduler first and cannot start another. In these workloads the harness's
// scheduler is idle: it only watches, because no pod has its scheduler name. The first
// operation that creates no nodes starts the measured scheduler.
type restart struct {
	config   string
	registry frameworkruntime.Registry
	dir      string
	nodes    int
}

// nodesCreated starts the measured scheduler if the number of nodes has not changed.
// Upstream's harness calls it with all nodes after every createNodes operation.
func (r *restart) nodesCreated(tCtx ktesting.TContext, _ *scheduler.Scheduler, _ *upstream.Workload, nodes *v1.NodeList) error {
	if len(nodes.Items) != r.nodes {
		r.nodes = len(nodes.Items)
		return nil
	}
	cfg, err := readSchedulerConfig(r.config)
	if err != nil {
		return err
	}
	waiting, err := listWaiting(tCtx, tCtx.Client())
	if err != nil {
		return fmt.Errorf("listing the waiting pods: %w", err)
	}
	defer waiting.watch.Stop()
	scope := tCtx.WithCancel()
	waiting.began = time.Now()
	_, _, done := util.StartSchedulerWithDone(scope, cfg, r.registry)
	tCtx.TB().Cleanup(func() {
		scope.Cancel("the workload is done")
		<-done
	})
	ready := time.Since(waiting.began)
	ctx, cancel := context.WithTimeout(tCtx, schedulingTimeout)
	defer cancel()
	if err := waiting.follow(ctx); err != nil {
		return err
	}
	return writeFigure(r.dir, restartMetric, map[string]float64{
		"Ready": ready.Seconds(), "First": waiting.first.Seconds(), "Gang": waiting.gang.Seconds(),
	})
}

func readSchedulerConfig(file string) (*config.KubeSchedulerConfiguration, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	object, _, err := scheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	cfg, ok := object.(*config.KubeSchedulerConfiguration)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T", file, object)
	}
	return cfg, nil
}

// waiting holds the pods without a node when the scheduler starts. Some of them are members
// of one gang.
type waiting struct {
	pods, members map[string]bool
	watch         *watchtools.RetryWatcher
	began         time.Time
	// first and gang are the times until the first pod and until all pods of the gang had
	// nodes.
	first, gang time.Duration
}

func listWaiting(ctx context.Context, client kubernetes.Interface) (*waiting, error) {
	pods := client.CoreV1().Pods(waitingNamespace)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w := &waiting{pods: map[string]bool{}, members: map[string]bool{}}
	for _, pod := range list.Items {
		if pod.Spec.NodeName != "" {
			return nil, fmt.Errorf("pod %s has a node before there is a scheduler", pod.Name)
		}
		w.pods[pod.Name] = true
		if pod.Labels[gangs.GangNameLabel] != "" {
			w.members[pod.Name] = true
		}
	}
	if len(w.members) == 0 {
		return nil, fmt.Errorf("namespace %s has no gang", waitingNamespace)
	}
	w.watch, err = watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{WatchFuncWithContext: pods.Watch})
	return w, err
}

// follow watches the waiting pods. It returns when all have a node.
func (w *waiting) follow(ctx context.Context) error {
	for len(w.pods) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d pods still wait: %w", len(w.pods), context.Cause(ctx))
		case event, open := <-w.watch.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended while %d pods wait", len(w.pods))
			}
			if pod, ok := event.Object.(*v1.Pod); ok && pod.Spec.NodeName != "" {
				w.bound(pod.Name, time.Since(w.began))
			}
		}
	}
	return nil
}

// bound records how long after the start a pod got its node.
func (w *waiting) bound(name string, after time.Duration) {
	if !w.pods[name] {
		return
	}
	delete(w.pods, name)
	if w.first == 0 {
		w.first = after
	}
	if w.members[name] {
		delete(w.members, name)
		w.gang = after
	}
}
