// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/dynamic-resource-allocation/structured"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
	"github.com/dovetail-dev/dovetail/pkg/plugins/draaware"
)

// full counts the full reads of the devices in use.
type full struct {
	fwk.SharedDRAManager
	reads atomic.Int64
}

func (f *full) ResourceClaims() fwk.ResourceClaimTracker {
	return fullTracker{f.SharedDRAManager.ResourceClaims(), f}
}

type fullTracker struct {
	fwk.ResourceClaimTracker
	of *full
}

func (t fullTracker) GatherAllocatedState() (*structured.AllocatedState, error) {
	t.of.reads.Add(1)
	return t.ResourceClaimTracker.GatherAllocatedState()
}

// history is a random sequence of changes to slices and claims by several writers.
type history struct {
	*world
	random *rand.Rand
	plugin plugin
	counts *cluster.Devices
	full   *full
	// trips has the pods that hold a reservation, by claim.
	trips map[string]*trip
	made  int
}

const historyClaims = 4

func newHistory(t *testing.T, seed uint64) *history {
	var objects []runtime.Object
	for i := range historyClaims {
		c := claim(fmt.Sprintf("c%d", i), "2 gpu.nvidia.com", "1 rdma.dranet.net")
		c.ResourceVersion = "1"
		objects = append(objects, c)
	}
	h := &history{
		world:  newWorld(t, "shape=ndh100v5,spines=1,leaves=1,nodes=2", objects...),
		random: rand.New(rand.NewPCG(seed, 0)), trips: map[string]*trip{},
	}
	h.countVersions()
	h.full = &full{SharedDRAManager: h.handle.manager}
	seen := *h.handle
	seen.manager = h.full
	profile := (&cluster.Profiles{}).Of("dovetail")
	p, err := draaware.New(context.Background(), nil, &seen, profile)
	if err != nil {
		t.Fatal(err)
	}
	h.plugin = p.(plugin)
	h.counts, _ = profile.Devices(h.full)
	return h
}

// countVersions makes the fake API server set a new resource version on every write, like a
// real one.
func (w *world) countVersions() {
	var version atomic.Int64
	version.Store(100)
	stamp := func(action clienttesting.Action) (bool, runtime.Object, error) {
		if write, ok := action.(clienttesting.CreateAction); ok { // an UpdateAction also has these methods
			write.GetObject().(metav1.Object).SetResourceVersion(strconv.FormatInt(version.Add(1), 10))
		}
		return false, nil, nil
	}
	w.handle.client.(*fake.Clientset).PrependReactor("*", "*", stamp)
}

// step makes one random change. It returns a description.
func (h *history) step() string {
	name := fmt.Sprintf("c%d", h.random.IntN(historyClaims))
	holder := h.trips[name]
	now := h.claim(name)
	switch pick := h.random.IntN(8); {
	case pick < 2:
		return h.changeSlice()
	case now == nil:
		return h.create(name)
	case pick == 2 && holder == nil:
		return h.remove(name)
	case holder != nil && pick < 5:
		holder.leave()
		delete(h.trips, name)
		return "the scheduler gives " + name + " back"
	case holder != nil:
		return h.write(name, now)
	case now.Status.Allocation != nil:
		now.Status.Allocation = nil
		h.update(now)
		return "a controller deallocates " + name
	case pick < 5:
		return h.allocateElsewhere(name, now)
	}
	return h.reserve(name, now)
}

func (h *history) reserve(name string, now *resourceapi.ResourceClaim) string {
	h.shows(name, now) // the scheduler also retries only after it sees the claim
	h.made++
	done := h.trip(h.plugin, podWith(fmt.Sprintf("pod-%d", h.made), now))
	if !done.place() {
		return "no room for " + name
	}
	h.trips[name] = done
	return "the scheduler reserves " + name
}

// allocateElsewhere acts as another scheduler. It takes a free device: if two claims have
// the same device, the in-tree index forgets it for both as soon as one claim is gone.
func (h *history) allocateElsewhere(name string, now *resourceapi.ResourceClaim) string {
	used := h.truth().InUse
	for _, gpu := range h.random.Perm(8) {
		allocation := holding("any", fmt.Sprintf("gpu-%d", gpu)).Status.Allocation
		result := allocation.Devices.Results[0]
		if !slices.Contains(used, structured.MakeDeviceID(result.Driver, result.Pool, result.Device).String()) {
			now.Status.Allocation = allocation
			h.update(now)
			return "somebody else allocates " + name
		}
	}
	return "nobody finds a device for " + name
}

// write runs PreBind for the claim's pod.
func (h *history) write(name string, now *resourceapi.ResourceClaim) string {
	if err := h.plugin.(fwk.PreBindPlugin).PreBind(context.Background(), h.trips[name].state, h.trips[name].pod, h.trips[name].node); !err.IsSuccess() {
		h.Fatalf("binding %s: %v", name, err)
	}
	delete(h.trips, name)
	if h.claim(name).Status.Allocation == nil {
		h.Fatalf("%s was written without an allocation", now.Name)
	}
	return "the scheduler writes " + name
}

func (h *history) claim(name string) *resourceapi.ResourceClaim {
	claims := h.claims()
	at := slices.IndexFunc(claims, func(c resourceapi.ResourceClaim) bool { return c.Name == name })
	if at < 0 {
		return nil
	}
	return &claims[at]
}

func (h *history) claims() []resourceapi.ResourceClaim {
	list, err := h.handle.client.ResourceV1().ResourceClaims("ml").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		h.Fatal(err)
	}
	return list.Items
}

func (h *history) update(c *resourceapi.ResourceClaim) {
	if _, err := h.handle.client.ResourceV1().ResourceClaims("ml").Update(context.Background(), c, metav1.UpdateOptions{}); err != nil {
		h.Fatal(err)
	}
}

func (h *history) remove(name string) string {
	if err := h.handle.client.ResourceV1().ResourceClaims("ml").Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		h.Fatal(err)
	}
	return name + " is deleted"
}

func (h *history) create(name string) string {
	h.made++
	c := claim(name, "2 gpu.nvidia.com", "1 rdma.dranet.net")
	c.UID = types.UID(fmt.Sprintf("%s-%d", c.UID, h.made))
	if _, err := h.handle.client.ResourceV1().ResourceClaims("ml").Create(context.Background(), c, metav1.CreateOptions{}); err != nil {
		h.Fatal(err)
	}
	return "another " + name + " is created"
}

// changeSlice removes a device from a slice or adds one, in a new pool generation.
func (h *history) changeSlice() string {
	api := h.handle.client.ResourceV1().ResourceSlices()
	list, err := api.List(context.Background(), metav1.ListOptions{})
	if err != nil {
		h.Fatal(err)
	}
	slice := &list.Items[h.random.IntN(len(list.Items))]
	if n := len(slice.Spec.Devices); n > 6 {
		slice.Spec.Devices = slice.Spec.Devices[:n-1]
	} else {
		again := *slice.Spec.Devices[0].DeepCopy()
		again.Name = fmt.Sprintf("again-%d", slice.Spec.Pool.Generation)
		slice.Spec.Devices = append(slice.Spec.Devices, again)
	}
	slice.Spec.Pool.Generation++
	if _, err := api.Update(context.Background(), slice, metav1.UpdateOptions{}); err != nil {
		h.Fatal(err)
	}
	return "slice " + slice.Name + " changes"
}

// shows waits until the scheduler sees the claim's resource version in the API server.
func (h *history) shows(name string, now *resourceapi.ResourceClaim) {
	h.within("the scheduler knows "+name, func() string {
		known, err := h.handle.manager.ResourceClaims().Get("ml", name)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(now.ResourceVersion, known.ResourceVersion)
	})
}

// picture is all published slices and all devices in use.
type picture struct {
	Slices, InUse []string
}

// truth returns the state of the API server plus the scheduler's pending allocations.
func (h *history) truth() picture {
	list, err := h.handle.client.ResourceV1().ResourceSlices().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		h.Fatal(err)
	}
	var published []*resourceapi.ResourceSlice
	for i := range list.Items {
		published = append(published, &list.Items[i])
	}
	taken := sets.New[structured.DeviceID]()
	for _, c := range h.claims() {
		allocation := c.Status.Allocation
		if h.trips[c.Name] != nil {
			allocation = h.handle.manager.ResourceClaims().GetPendingAllocation(c.UID)
		}
		if allocation == nil {
			continue
		}
		for _, result := range allocation.Devices.Results {
			taken.Insert(structured.MakeDeviceID(result.Driver, result.Pool, result.Device))
		}
	}
	return pictured(published, &structured.AllocatedState{AllocatedDevices: taken})
}

func (h *history) followed() picture {
	if err := h.counts.Sync(); err != nil {
		h.Fatal(err)
	}
	known := h.counts.Inventory().NodeSlices()
	return pictured(slices.Concat(append(known.Local, known.Shared)...), h.counts.Inventory().Allocated())
}

func (h *history) read() picture {
	shown, err := h.handle.manager.ResourceSlices().ListWithDeviceTaintRules()
	if err != nil {
		h.Fatal(err)
	}
	for {
		if state, err := h.handle.manager.ResourceClaims().GatherAllocatedState(); err == nil {
			return pictured(shown, state)
		}
	}
}

func pictured(all []*resourceapi.ResourceSlice, state *structured.AllocatedState) (p picture) {
	for _, slice := range all {
		p.Slices = append(p.Slices, fmt.Sprintf("%s generation %d: %d devices", slice.Name, slice.Spec.Pool.Generation, len(slice.Spec.Devices)))
	}
	for id := range state.AllocatedDevices {
		p.InUse = append(p.InUse, id.String())
	}
	slices.Sort(p.Slices)
	slices.Sort(p.InUse)
	return p
}

// within waits up to 20 s until there is no difference: informers lag.
func (h *history) within(what string, difference func() string) {
	h.Helper()
	diff := difference()
	for deadline := time.Now().Add(20 * time.Second); diff != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("not so after 20 s: %s:\n%s", what, diff)
		}
		diff = difference()
	}
}

// Device counts updated from changes equal counts from a full read, for any order of writes
// by several writers. No full read happens.
func TestNewsEqualsReading(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			h := newHistory(t, seed)
			h.within("the counts follow news", func() string {
				before := h.full.reads.Load()
				h.followed()
				return cmp.Diff(before, h.full.reads.Load())
			})
			reads := h.full.reads.Load()
			var did []string
			for range 60 {
				did = append(did, h.step())
				h.within(fmt.Sprintf("(-true,+read) after\n%s", did), func() string { return cmp.Diff(h.truth(), h.read()) })
				h.within(fmt.Sprintf("(-true,+followed) after\n%s", did), func() string { return cmp.Diff(h.truth(), h.followed()) })
			}
			if more := h.full.reads.Load() - reads; more != 0 {
				t.Errorf("everything in use was read %d times", more)
			}
		})
	}
}
