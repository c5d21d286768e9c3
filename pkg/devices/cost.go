// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"fmt"
	"sync"
	"time"
)

// The work for selectors is measured in the cost units of CEL, which do not depend on the
// machine. One unit takes a quarter to half a microsecond. `device.driver == "a"` costs 4
// units, the usual selector less than 50. The API server admits selectors of a million
// units, half a second for each device.
const (
	// maxDeviceCost is how much all selectors of one pod may cost on one device. It is a
	// hundred times the cost of a usual pod.
	maxDeviceCost = 5000
	// cheapDeviceCost is how much the selectors of one pod may cost on one device before the
	// pod's namespace is charged for each search of the stock allocator.
	cheapDeviceCost = 500
	// maxPodQueries is how many different device requests one pod may have. One claim can
	// hold 32 requests.
	maxPodQueries = 64
	// maxPodSelectors is the maximum sum, in bytes, of the lengths of one pod's different
	// selectors. The compiler's time grows with the length, and the stock allocator compiles
	// selectors again for each device once a pod has more than ten.
	maxPodSelectors = 32 << 10
	// evaluationCost is a fixed cost of each evaluation, added to the cost of the
	// expression.
	evaluationCost = 20
	// compileCost is the fixed cost of compiling one expression, compileByteCost the cost of
	// each of its bytes.
	compileCost, compileByteCost = 2000, 20
	// devicesPerUnit is how many devices can be compared with cached results of selectors
	// in the time of one cost unit.
	devicesPerUnit = 4
	// budgetSize is the most that a namespace can spend at once, about half a second.
	// budgetRefill is what a namespace gains in a second, 5% of one CPU or less.
	budgetSize, budgetRefill = 2_000_000, 100_000
	// maxDebt limits how long a namespace waits for a charge that exceeded its budget.
	maxDebt = 10 * budgetSize
)

// CostError reports that the CEL selectors of a pod's claims cost more than allowed.
type CostError struct {
	// Temporary is true if the pod's namespace has spent its budget, which refills over
	// time. Otherwise only a change of the claim or the DeviceClass can help.
	Temporary bool
	sentence  string
}

// Error returns the reason as a sentence for users.
func (e *CostError) Error() string { return e.sentence }

func costErrorf(format string, args ...any) error {
	return &CostError{sentence: fmt.Sprintf(format, args...)}
}

// budgets has what each namespace may still spend on selectors. Several inventories may
// share it. Its methods are safe for concurrent use.
type budgets struct {
	mu  sync.Mutex
	now time.Time
	// spent has the namespaces whose budget is not full. The namespace "" is the cluster,
	// which has no limit: DeviceClasses are written by administrators.
	spent map[string]budget
}

// budget is what a namespace had left at a time. It is negative for a debt.
type budget struct {
	left int64
	at   time.Time
}

// maxBudgets is the number of recorded budgets at which those that are full again are
// removed.
const maxBudgets = 256

func newBudgets() *budgets { return &budgets{spent: map[string]budget{}} }

// refill sets the time up to which the budgets are refilled.
func (b *budgets) refill(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.After(b.now) {
		b.now = now
	}
}

func (b *budgets) left(namespace string) int64 {
	spent, ok := b.spent[namespace]
	if !ok {
		return budgetSize
	}
	elapsed := min(b.now.Sub(spent.at), (maxDebt+budgetSize)/budgetRefill*time.Second)
	return min(budgetSize, spent.left+int64(elapsed)*budgetRefill/int64(time.Second))
}

// check returns a temporary CostError if the namespace has nothing left.
func (b *budgets) check(namespace string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if namespace == "" || b.left(namespace) > 0 {
		return nil
	}
	return &CostError{Temporary: true, sentence: fmt.Sprintf(
		"namespace %s has spent its budget for CEL selectors of claims; the budget refills over time, and the pod is tried again", namespace)}
}

// charge subtracts a cost from what the namespace has left.
func (b *budgets) charge(namespace string, cost int64) {
	if namespace == "" || cost <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.spent) >= maxBudgets {
		for name := range b.spent {
			if b.left(name) == budgetSize {
				delete(b.spent, name)
			}
		}
	}
	b.spent[namespace] = budget{left: max(b.left(namespace)-cost, -maxDebt), at: b.now}
}
