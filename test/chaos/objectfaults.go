// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// untilDone calls a function until it succeeds: the API server may be down.
func untilDone(ctx context.Context, do func(context.Context) error) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, callTimeout)
		err := do(attempt)
		cancel()
		if err == nil {
			return
		}
		sleep(ctx, watchStep)
	}
}

// onNode returns a fault of a node, which is restored after a while.
func onNode(name string, weight int, do func(context.Context, *machines, fleet.Node) error) fault {
	return fault{name: name, weight: weight, apply: func(ctx context.Context, r *rig, random *rand.Rand) error {
		node, length := r.machines.all[random.IntN(len(r.machines.all))], milliseconds(random, 500, 6000)
		return r.alone(node.Name(), func() error {
			untilDone(ctx, func(ctx context.Context) error { return do(ctx, r.machines, node) })
			sleep(ctx, length)
			untilDone(ctx, func(ctx context.Context) error { return r.machines.restore(ctx, node) })
			return nil
		})
	}}
}

// onGang returns a fault of a gang that exists at the moment.
func onGang(name string, weight int, do func(context.Context, *rig, *gang, *rand.Rand) error) fault {
	return fault{name: name, weight: weight, apply: func(ctx context.Context, r *rig, random *rand.Rand) error {
		slot := random.IntN(slots)
		for tries := 0; ctx.Err() == nil && tries < slots; tries++ {
			if g := r.load.get((slot + tries) % slots); g != nil {
				untilDone(ctx, func(ctx context.Context) error { return do(ctx, r, g, random) })
				return nil
			}
		}
		return nil
	}}
}

func onWebhook(name string, weight int, mood mood) fault {
	return fault{name: name, weight: weight, counts: true, apply: func(ctx context.Context, r *rig, random *rand.Rand) error {
		half, length := random.Uint32(), milliseconds(random, 500, 4000)
		return r.alone("webhook", func() error {
			r.webhook.set(mood, half)
			sleep(ctx, length)
			r.webhook.set(allows, 0)
			return nil
		})
	}}
}

// admissionFaults make the admission webhook refuse writes that the API server would do.
var admissionFaults = []fault{
	onWebhook("webhook-refuses-bindings", 3, refusesBindings),
	onWebhook("webhook-refuses-claims", 2, refusesClaims),
	onWebhook("webhook-hangs", 1, hangs),
	onWebhook("webhook-breaks", 1, breaks),
}

// objectFaults change the cluster's objects.
var objectFaults = []fault{
	onNode("node-deleted", 4, func(ctx context.Context, m *machines, n fleet.Node) error { return m.remove(ctx, n) }),
	onNode("node-cordoned", 3, func(ctx context.Context, m *machines, n fleet.Node) error { return m.mark(ctx, n, true, false) }),
	onNode("node-tainted", 3, func(ctx context.Context, m *machines, n fleet.Node) error { return m.mark(ctx, n, false, true) }),
	onNode("slices-deleted", 3, func(ctx context.Context, m *machines, n fleet.Node) error { return m.removeSlices(ctx, n) }),
	onGang("pod-deleted", 5, deletePod),
	onGang("claim-deleted", 3, deleteClaim),
	onGang("podgroup-deleted", 2, deletePodGroup),
	onGang("workload-deleted", 3, func(ctx context.Context, r *rig, g *gang, _ *rand.Rand) error {
		objects := g.objects()
		workload := objects[len(objects)-1]
		background := metav1.DeletePropagationBackground
		return absent(r.load.of(workload).Delete(ctx, workload.GetName(), metav1.DeleteOptions{PropagationPolicy: &background}))
	}),
	{name: "namespace-deleted", weight: 1, apply: deleteNamespace},
}

func gangPods(ctx context.Context, r *rig, g *gang) ([]corev1.Pod, error) {
	list, err := r.client.CoreV1().Pods(g.namespace).List(ctx, metav1.ListOptions{LabelSelector: gangLabel + "=" + g.name})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func deletePod(ctx context.Context, r *rig, g *gang, random *rand.Rand) error {
	pods, err := gangPods(ctx, r, g)
	if err != nil || len(pods) == 0 {
		return err
	}
	name := pods[random.IntN(len(pods))].Name
	return absent(r.client.CoreV1().Pods(g.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
}

// deleteClaim deletes a claim of a member that has no node. Only a new pod gets another claim,
// so deleteClaim deletes the pod a little later.
func deleteClaim(ctx context.Context, r *rig, g *gang, random *rand.Rand) error {
	pods, err := gangPods(ctx, r, g)
	if err != nil {
		return err
	}
	for i := range pods {
		pod := &pods[i]
		if pod.Spec.NodeName != "" || len(pod.Status.ResourceClaimStatuses) == 0 || pod.Status.ResourceClaimStatuses[0].ResourceClaimName == nil {
			continue
		}
		name := *pod.Status.ResourceClaimStatuses[0].ResourceClaimName
		if err := absent(r.client.ResourceV1().ResourceClaims(g.namespace).Delete(ctx, name, metav1.DeleteOptions{})); err != nil {
			return err
		}
		sleep(ctx, milliseconds(random, 100, 2000))
		return absent(r.client.CoreV1().Pods(g.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	}
	return nil
}

// deletePodGroup deletes the PodGroup of scheduler-plugins or of Volcano that declares the
// gang. It does nothing to gangs of other sources. The load creates the PodGroup again.
func deletePodGroup(ctx context.Context, r *rig, g *gang, _ *rand.Rand) error {
	declares := g.objects()[0]
	if g.source != "podgroup" && g.source != "volcano" {
		return nil
	}
	return absent(r.load.of(declares).Delete(ctx, declares.GetName(), metav1.DeleteOptions{}))
}

// deleteNamespace deletes a namespace and creates it again when it is gone.
func deleteNamespace(ctx context.Context, r *rig, random *rand.Rand) error {
	name := namespaceName(random.IntN(namespaces))
	return r.alone(name, func() error { return replaceNamespace(ctx, r, name) })
}

func replaceNamespace(ctx context.Context, r *rig, name string) error {
	untilDone(ctx, func(ctx context.Context) error {
		return absent(r.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}))
	})
	untilDone(ctx, func(ctx context.Context) error {
		is, err := r.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err == nil && is.DeletionTimestamp != nil {
			return errTerminating
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		return r.restoreNamespace(ctx, name)
	})
	return nil
}

// errTerminating is the error while a namespace is being deleted.
var errTerminating = errors.New("the namespace is terminating")
