// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dovetail-dev/dovetail/pkg/devices"
)

// additions returns a selector of n x n additions that is true for each device of an own
// UUID. It reads the UUID, so no two devices share a result.
func additions(n int) string {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
	return fmt.Sprintf(`!%s.exists(x, %s.exists(y, x + y == 5)) && device.attributes["gpu.nvidia.com"].uuid != ""`, list, list)
}

// podOf returns a pod of a namespace.
func podOf(namespace string) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "worker", UID: "pod"}}
}

// ask reads the request of a pod of the namespace with one claim. temporary is meaningful
// only if the error is a CostError.
func ask(inv *devices.Inventory, namespace string, all classes, requests ...resourceapi.DeviceRequest) (request devices.Request, temporary bool, err error) {
	request, err = inv.Request(podOf(namespace), []*resourceapi.ResourceClaim{claim("c", requests...)}, all)
	var cost *devices.CostError
	if errors.As(err, &cost) {
		temporary = cost.Temporary
	}
	return request, temporary, err
}

// A pod whose selectors cost too much is refused with a sentence, whatever its budget and
// whatever else is wrong with it. The same pod is refused again, and other pods are counted.
func TestCostlySelectors(t *testing.T) {
	var many, different []resourceapi.DeviceRequest
	for i := range 2 {
		many = append(many, wants(fmt.Sprintf("r%d", i), "gpu", 1, additions(17+i)))
	}
	for i := range 65 {
		different = append(different, wants(fmt.Sprintf("r%d", i), "gpu", 1, fmt.Sprintf(`device.driver != "%d"`, i)))
	}
	long := func(i int) string {
		return fmt.Sprintf(`device.driver != "%d%s"`, i, strings.Repeat("x", 9000))
	}
	sum := regexp.MustCompile(`cost \d+ CEL`)
	admin := wants("r0", "gpu", 1, additions(40))
	yes := true
	admin.Exactly.AdminAccess = &yes
	tests := map[string]struct {
		requests []resourceapi.DeviceRequest
		want     string
	}{
		"one selector": {
			[]resourceapi.DeviceRequest{wants("r0", "gpu", 1), wants("r1", "gpu", 1, "true", additions(300))},
			"claim ml/c: request r1: selector 1 costs more than 5000 CEL cost units on a device, the most that a pod's selectors may cost",
		},
		"of an alternative": {
			[]resourceapi.DeviceRequest{wantsFirst("any", wants("", "gpu", 1), wants("", "gpu", 2, additions(300)))},
			"claim ml/c: request any: alternative alt-1: selector 0 costs more than 5000 CEL cost units on a device, the most that a pod's selectors may cost",
		},
		"of admin access": {
			[]resourceapi.DeviceRequest{admin},
			"claim ml/c: request r0: selector 0 costs more than 5000 CEL cost units on a device, the most that a pod's selectors may cost",
		},
		"behind an unknown class": {
			[]resourceapi.DeviceRequest{wants("r0", "tpu", 1), wants("r1", "gpu", 1, additions(300))},
			"claim ml/c: request r1: selector 0 costs more than 5000 CEL cost units on a device, the most that a pod's selectors may cost",
		},
		"all together": {many, "claim ml/c: request r1: with it, the selectors of the pod cost N CEL cost units on a device, more than 5000"},
		"too many":     {different, "claim ml/c: request r64: with it, the pod has more than 64 different device requests"},
		"too long": {
			[]resourceapi.DeviceRequest{wants("r0", "gpu", 1, long(1), long(2), long(3), long(4))},
			"claim ml/c: request r0: its selectors have 36080 characters, more than the 32768 that a pod may have",
		},
		"too long together": {
			[]resourceapi.DeviceRequest{wants("r0", "gpu", 1, long(1), long(2)), wants("r1", "gpu", 1, long(3), long(4))},
			"claim ml/c: request r1: with it, the selectors of the pod have 36080 characters, more than the 32768 that a pod may have",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inv := inventory(ndH100v5().slices("n1")...)
			for range 2 {
				_, temporary, err := ask(inv, "ml", standardClasses(), test.requests...)
				if err == nil || sum.ReplaceAllString(err.Error(), "cost N CEL") != test.want || temporary {
					t.Fatalf("temporary %t\n got %v\nwant %s", temporary, err, test.want)
				}
			}
			request := mustRequest(t, inv, claim("good", wants("gpu", "gpu", 4)))
			if got := slots(t, inv.View(request), request, "n1"); got != 2 {
				t.Errorf("the next pod: got %d slots, want 2", got)
			}
		})
	}
}

// A namespace that has spent its budget waits until it is refilled. It then goes on where it
// stopped, and has the same counts as with a larger budget. Another namespace does not wait,
// and a selector that both have costs the second one nothing.
func TestBudgetOfNamespace(t *testing.T) {
	var all []*resourceapi.ResourceSlice
	for i := range 10 {
		all = append(all, ndH100v5().slices(fmt.Sprintf("n%02d", i))...)
	}
	inv := inventory(all...)
	now := time.Unix(1000, 0)
	inv.Refill(now)
	// 80 devices at 4700 units each: the budget is spent after five or six selectors.
	heavy := func(i int) resourceapi.DeviceRequest {
		return wants("r", "gpu", 1, additions(24)+fmt.Sprintf(" && %d > 0", i))
	}
	bought := 0
	var err error
	for temporary := false; err == nil; bought++ {
		if _, temporary, err = ask(inv, "mean", standardClasses(), heavy(bought+1)); err != nil && !temporary {
			t.Fatal(err)
		}
		if bought > 10 {
			t.Fatal("the budget has no end")
		}
	}
	const want = "claim ml/c: request r: namespace mean has spent its budget for CEL selectors of claims; the budget refills over time, and the pod is tried again"
	if err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
	if _, _, err := ask(inv, "ml", standardClasses(), wants("r", "gpu", 1, `device.driver != "x"`)); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	if _, _, err := ask(inv, "poor", standardClasses(), heavy(1)); err != nil {
		t.Errorf("another namespace with a known selector: %v", err)
	}
	if _, _, err := ask(inv, "mean", standardClasses(), wants("r", "gpu", 1)); err != nil {
		t.Errorf("a pod without selectors of the same namespace: %v", err)
	}
	inv.Refill(now.Add(20 * time.Second))
	request, _, err := ask(inv, "mean", standardClasses(), heavy(bought))
	if err != nil {
		t.Fatalf("after 20 s: %v", err)
	}
	other := inventory(all...)
	alone, _, err := ask(other, "mean", standardClasses(), heavy(bought))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slots(t, inv.View(request), request, "n09"), slots(t, other.View(alone), alone, "n09"); got != want || got != 8 {
		t.Errorf("got %d slots, want %d", got, want)
	}
}

// A pod whose selectors are not cheap pays for each search of the allocator. A pod with
// usual selectors never does.
func TestAllocationsAreCharged(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	inv.Refill(time.Unix(1000, 0))
	heavy, _, err := ask(inv, "ml", standardClasses(), wants("r", "gpu", 1, additions(24)))
	if err != nil {
		t.Fatal(err)
	}
	usual, _, err := ask(inv, "ml", standardClasses(), wants("r", "gpu", 1, `device.attributes["gpu.nvidia.com"].uuid != ""`))
	if err != nil {
		t.Fatal(err)
	}
	searches := 0
	for ; inv.Affords("ml", &heavy) == nil && searches < 1000; searches++ {
		inv.ChargeAllocation("ml", &heavy, "n1")
		inv.ChargeAllocation("other", &usual, "n1")
	}
	// 16 devices at about 4200 units beyond what is free.
	if searches < 20 || searches > 40 {
		t.Errorf("%d searches for 2,000,000 units", searches)
	}
	if err := inv.Affords("ml", &usual); err != nil {
		t.Errorf("usual selectors: %v", err)
	}
	if err := inv.Affords("other", &heavy); err != nil {
		t.Errorf("usual selectors were charged: %v", err)
	}
	if err := inv.Fresh().Affords("ml", &heavy); err == nil {
		t.Error("an inventory for a what-if plan has a budget of its own")
	}
}

// A class may cost more than a pod: administrators write it. It is evaluated once for all
// selectors of requests, and no namespace pays for it.
func TestClassesAreTrusted(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	all := standardClasses()
	all["slow"] = class("slow", additions(60))
	for i := range 20 {
		request, _, err := ask(inv, "ml", all, wants("r", "slow", 1, fmt.Sprintf(`device.driver != "%d"`, i)))
		if err != nil {
			t.Fatal(err)
		}
		if got := slots(t, inv.View(request), request, "n1"); got != 8 {
			t.Fatalf("got %d slots, want 8", got)
		}
	}
}

// Devices that appear after a selector was evaluated count for it, and those that go do not.
func TestEvaluationFollowsSlices(t *testing.T) {
	inv := inventory(ndH100v5().slices("n1")...)
	pinned := wants("r", "gpu", 1, `device.attributes["gpu.nvidia.com"].uuid.startsWith("GPU-n2")`)
	for _, step := range []struct {
		add, remove string
		want        map[string]int
	}{{"", "", map[string]int{"n1": 0}}, {"n2", "", map[string]int{"n1": 0, "n2": 8}}, {"", "n2", map[string]int{"n1": 0, "n2": 0}}} {
		if step.add != "" {
			for _, s := range ndH100v5().slices(step.add) {
				inv.SetSlice(s)
			}
		}
		if step.remove != "" {
			for _, s := range ndH100v5().slices(step.remove) {
				inv.DeleteSlice(s.Name)
			}
		}
		request := mustRequest(t, inv, claim("c", pinned))
		view := inv.View(request)
		for _, name := range slices.Sorted(maps.Keys(step.want)) {
			if got := slots(t, view, request, name); got != step.want[name] {
				t.Errorf("after adding %q and removing %q: node %s has %d slots, want %d", step.add, step.remove, name, got, step.want[name])
			}
		}
	}
}
