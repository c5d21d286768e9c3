// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/test/harness"
	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

const (
	// gpuOnlyShare is the percentage of pods that request GPUs and no NICs.
	gpuOnlyShare = 30
	stockProfile = "default-scheduler"
	// churnEnv is an environment variable. If it is set, the churn test runs at full size.
	churnEnv = "CHURN_FULL"
)

// churnSize is the number of pods and the fleet of the churn test. The pods stay long
// enough to keep four fifths of the GPUs in use: at lower utilization, stock finds pairs by
// chance.
type churnSize struct {
	fleet    string
	arrivals int
	// A pod stays for at least stay and less than stay+spread arrivals.
	stay, spread int
}

func sizeOfChurn() churnSize {
	if os.Getenv(churnEnv) != "" {
		return churnSize{fleet: "shape=ndh100v5,spines=2,leaves=2,nodes=4", arrivals: 200, stay: 20, spread: 72}
	}
	return churnSize{fleet: "shape=ndh100v5,spines=1,leaves=2,nodes=2", arrivals: 80, stay: 5, spread: 18}
}

// churnArrival is an arriving pod; stays is the number of later arrivals after which it is
// deleted.
type churnArrival struct {
	gpus    int
	gpuOnly bool
	stays   int
}

// template returns the name of the pod's claim template.
func (a churnArrival) template() string {
	if a.gpuOnly {
		return fmt.Sprintf("gpus-%d", a.gpus)
	}
	return fmt.Sprintf("pairs-%d", a.gpus)
}

func (s churnSize) list() []churnArrival {
	random := rand.New(rand.NewPCG(16, 30))
	list := make([]churnArrival, s.arrivals)
	for i := range list {
		list[i] = churnArrival{
			gpus: []int{1, 1, 1, 2, 2, 4}[random.IntN(6)], gpuOnly: random.IntN(100) < gpuOnlyShare,
			stays: s.stay + random.IntN(s.spread),
		}
	}
	return list
}

// churnScore counts the placed pods with NICs, and the refused pods of any kind. possible
// counts the placed pods for which, at their arrival, some node had enough free GPUs with
// free NICs in their units. missed counts the pods among them that got unpaired devices.
type churnScore struct{ placed, refused, paired, oneNUMA, possible, missed int }

func (s churnScore) String() string {
	percent := func(n int) float64 { return 100 * float64(n) / float64(max(1, s.placed)) }
	return fmt.Sprintf("%d of %d pods fully paired (%.1f%%), %d on one NUMA node (%.1f%%); a pairing existed for %d and was missed by %d; %d pods of any kind had no room",
		s.paired, s.placed, percent(s.paired), s.oneNUMA, percent(s.oneNUMA), s.possible, s.missed, s.refused)
}

// churnRun runs the arrivals in sequence through one scheduler.
type churnRun struct {
	*env
	scheduler string
	nodes     fleet.Spec
	list      []churnArrival
	// running holds the devices of each running pod, by the index of its arrival.
	running map[int][]string
	score   churnScore
}

// Pods arrive and leave on a fleet of ND H100 v5 nodes. Some pods request no NICs. The real
// schedulers place them. With stock scheduling some pods get NICs that are not paired with
// their GPUs. With Dovetail every pod for which a pairing exists must get one.
func TestChurnKeepsPairs(t *testing.T) {
	size := sizeOfChurn()
	nodes := plainFleet(t, size.fleet)
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{nodes},
		Without: []string{localcluster.KubeRay},
	})
	for _, gpus := range []int64{1, 2, 4} {
		e.deviceTemplate(fmt.Sprintf("gpus-%d", gpus), map[string]int64{fleet.ClassGPU: gpus})
		e.deviceTemplate(fmt.Sprintf("pairs-%d", gpus), map[string]int64{fleet.ClassGPU: gpus, fleet.ClassRDMA: gpus})
	}
	scores := map[string]churnScore{}
	for _, scheduler := range []string{stockProfile, profile} {
		began := time.Now()
		run := churnRun{env: e, scheduler: scheduler, nodes: nodes, list: size.list(), running: map[int][]string{}}
		scores[scheduler] = run.all()
		t.Logf("%s: %s [%v]", scheduler, scores[scheduler], time.Since(began).Round(time.Second))
	}
	stock, ours := scores[stockProfile], scores[profile]
	if ours.missed > 0 {
		t.Errorf("%d pods stand apart from their NICs though a pairing existed", ours.missed)
	}
	if ours.refused > stock.refused {
		t.Errorf("ours refused %d pods, stock %d", ours.refused, stock.refused)
	}
	if ours.paired <= stock.paired {
		t.Errorf("ours paired %d pods, stock %d: the churn shows nothing", ours.paired, stock.paired)
	}
}

// deviceTemplate creates a claim template that requests the given number of devices of each
// class.
func (e *env) deviceTemplate(name string, counts map[string]int64) {
	e.Helper()
	template := &resourceapi.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i, class := range slices.Sorted(maps.Keys(counts)) {
		template.Spec.Spec.Devices.Requests = append(template.Spec.Spec.Devices.Requests, resourceapi.DeviceRequest{
			Name: fmt.Sprintf("devices-%d", i), Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: class, Count: counts[class]},
		})
	}
	if _, err := e.Client.ResourceV1().ResourceClaimTemplates(e.Namespace).Create(e.Context(), template, metav1.CreateOptions{}); err != nil {
		e.Fatalf("creating claim template %s: %v", name, err)
	}
}

func (c *churnRun) all() churnScore {
	for i, a := range c.list {
		c.depart(i)
		possible := c.pairsFree(a.gpus)
		pod := newPod(fmt.Sprintf("%s-%d", c.scheduler, i), withTemplate(a.template()))
		pod.Spec.SchedulerName = c.scheduler
		pod.Labels["arrival"] = pod.Name
		c.createPods(pod)
		if !c.decided(pod.Name) {
			c.score.refused++
			c.remove(i)
			continue
		}
		c.running[i] = c.devicesOf(pod.Name)
		if !a.gpuOnly {
			c.judge(i, possible)
		}
	}
	for _, i := range slices.Sorted(maps.Keys(c.running)) {
		c.remove(i)
	}
	return c.score
}

func withTemplate(name string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "devices", ResourceClaimTemplateName: &name}}
		p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "devices"}}
	}
}

// depart deletes the pods that leave before the next arrival.
func (c *churnRun) depart(now int) {
	for _, i := range slices.Sorted(maps.Keys(c.running)) {
		if i+c.list[i].stays <= now {
			c.remove(i)
		}
	}
}

// remove deletes a pod and waits until its claims are deleted.
func (c *churnRun) remove(i int) {
	c.Helper()
	name := fmt.Sprintf("%s-%d", c.scheduler, i)
	c.RemovePods("arrival=" + name)
	delete(c.running, i)
	c.Eventually("the claims of pod "+name+" are gone", func() bool {
		list, err := c.Client.ResourceV1().ResourceClaims(c.Namespace).List(c.Context(), metav1.ListOptions{})
		if err != nil {
			c.Fatalf("listing claims: %v", err)
		}
		return !slices.ContainsFunc(list.Items, func(claim resourceapi.ResourceClaim) bool {
			return slices.ContainsFunc(claim.OwnerReferences, func(owner metav1.OwnerReference) bool { return owner.Name == name })
		})
	})
}

// decided waits until the scheduler has bound or refused a pod. It reports whether the pod
// has a node.
func (c *churnRun) decided(name string) bool {
	c.Helper()
	placed := false
	c.Eventually("the scheduler decides on pod "+name, func() bool {
		pod, err := c.Client.CoreV1().Pods(c.Namespace).Get(c.Context(), name, metav1.GetOptions{})
		if err != nil {
			c.Fatalf("reading pod %s: %v", name, err)
		}
		placed = pod.Spec.NodeName != ""
		// A pod whose claim does not exist yet is also refused, but with another message.
		return placed || strings.Contains(harness.Unschedulable(pod), "nodes are available")
	})
	return placed
}

// devicesOf lists the devices of the pod's claims, each as pool/device. Each pool belongs
// to one node.
func (e *env) devicesOf(name string) []string {
	e.Helper()
	pod, err := e.Client.CoreV1().Pods(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
	if err != nil {
		e.Fatalf("reading pod %s: %v", name, err)
	}
	var held []string
	for _, status := range pod.Status.ResourceClaimStatuses {
		claim, err := e.Client.ResourceV1().ResourceClaims(e.Namespace).Get(e.Context(), *status.ResourceClaimName, metav1.GetOptions{})
		if err != nil {
			e.Fatalf("reading claim %s: %v", *status.ResourceClaimName, err)
		}
		for _, result := range claim.Status.Allocation.Devices.Results {
			held = append(held, result.Pool+"/"+result.Device)
		}
	}
	return held
}

// judge adds a placed pod to the score by the units of its GPUs and NICs.
func (c *churnRun) judge(i int, possible bool) {
	gpus, nics := churnDevices(c.Fatalf, c.running[i])
	apart, across := 0, 0
	sockets := map[int]bool{}
	for gpu := range gpus {
		sockets[gpu/4] = true
	}
	for nic := range nics {
		if !gpus[nic] {
			apart++
		}
		if !sockets[nic/4] {
			across++
		}
	}
	c.score.placed++
	c.score.paired += truth(apart == 0)
	c.score.oneNUMA += truth(across == 0 && len(sockets) == 1)
	c.score.possible += truth(possible)
	c.score.missed += truth(possible && apart > 0)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pairsFree reports whether a node has that many free GPUs with free NICs in their units.
func (c *churnRun) pairsFree(count int) bool {
	busy := map[string][]string{}
	for _, held := range c.running {
		for _, device := range held {
			node, _, _ := strings.Cut(device, "/")
			busy[node] = append(busy[node], device)
		}
	}
	for node := range c.nodes.All() {
		gpus, nics := churnDevices(c.Fatalf, busy[node.Name()])
		free := 0
		for i := range 8 {
			free += truth(!gpus[i] && !nics[i])
		}
		if free >= count {
			return true
		}
	}
	return false
}

// churnDevices returns the numbers of the GPUs and of the NICs in a list of devices of an
// ND H100 v5 node. GPU i and NIC i are a pair. Each socket has four pairs.
func churnDevices(fatal func(string, ...any), devices []string) (gpus, nics map[int]bool) {
	gpus, nics = map[int]bool{}, map[int]bool{}
	for _, device := range devices {
		_, name, _ := strings.Cut(device, "/")
		var i int
		if n, _ := fmt.Sscanf(name, "gpu-%d", &i); n == 1 {
			gpus[i] = true
		} else if n, _ := fmt.Sscanf(name, "pci-010%d-00-00-0", &i); n == 1 {
			nics[i-1] = true
		} else {
			fatal("device %s is neither GPU nor NIC", device)
		}
	}
	return gpus, nics
}
