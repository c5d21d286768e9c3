// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/dovetail-dev/dovetail/test/localcluster"
	"github.com/dovetail-dev/dovetail/test/localcluster/fleet"
)

// writesEnv, when set, has TestWaitingGangWritesLittle wait for five minutes with a
// gang of 500.
const writesEnv = "WRITES_FULL"

// leastTurns is how long pods come and go at least.
const leastTurns = 20 * time.Second

// auditPolicy has the API server write down what the scheduler writes.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
  users: ["system:serviceaccount:dovetail-system:dovetail"]
- level: None
`

// A gang that cannot fit costs the API server little while it waits, though the
// cluster around it is busy with pods that come and go, each of which takes the room
// of a member: each member is told why it waits, and again with the numbers that have
// changed, but not with every pod.
func TestWaitingGangWritesLittle(t *testing.T) {
	size, wait := 100, time.Duration(0)
	if os.Getenv(writesEnv) != "" {
		size, wait = 500, 5*time.Minute // then the scheduler tries everyone again, whatever happened
	}
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, fmt.Sprintf("shape=plain,spines=1,leaves=10,nodes=%d", size*4/5/10))},
		Without: []string{localcluster.KubeRay},
		Args: map[string][]string{localcluster.APIServer: {
			"--audit-policy-file=" + policy, "--audit-log-path=" + log, "--audit-log-mode=blocking",
		}},
	})
	end := time.Now().Add(wait)
	e.podGroup("wide", int64(size), nil)
	e.createPods(members("wide", size, asking("20", "1Gi"))...)
	e.Refused(groupLabel+"=wide", size, fmt.Sprintf("of %d members fit", size))

	told, turns, notes := e.writesOnceQuiet(log), 0, e.waitingNotes("wide")
	var standing []string
	quiet := time.Now()
	for ; time.Now().Before(end) || time.Since(quiet) < leastTurns; turns++ {
		standing = e.comeAndGo(standing, turns)
	}
	length := time.Since(quiet)
	e.Refused(groupLabel+"=wide", size, fmt.Sprintf("of %d members fit", size))
	waited := readWrites(t, log)
	waited.subtract(told)
	t.Logf("a gang of %d that cannot fit; until every member is told why:\n%s\nin the %v after that, in which %d pods came and went:\n%s", size, told, length.Round(time.Second), turns, waited)
	t.Logf("events about the gang's pods and its PodGroup: %s", e.eventCounts("wide"))

	if n := e.waitingNotes("wide") - notes; n < 2 {
		t.Errorf("the PodGroup was told %d times of other numbers, want at least twice: the pods that passed changed nothing", n)
	}
	// That its gang is not there yet, and that it does not fit: a condition and an event each.
	if most := 4*size + 2; told.sum() > most {
		t.Errorf("%d writes until every member was told, want at most 4 for each of %d members and 2 for their PodGroup", told.sum(), size)
	}
	// A binding and an event are the pod's that passes by. The member that asks for all
	// gets a condition and an event, and the gang asks every 4 seconds once it was
	// refused six times. The first round may come after the scheduler has told all.
	rounds, asked := 1+roundsIn(length, size), 6+int(length/(4*time.Second))
	if n, most := waited.sum()-2*turns, rounds*(size+1)+2*asked+2; n > most {
		t.Errorf("%d writes for the gang while it waited, want at most %d for each of %d members and their PodGroup, and 2 each of %d times that one asks", n, rounds, size, asked)
	}
	if n, most := waited["create events"]+waited["patch events"]-turns, rounds+asked; n > most {
		t.Errorf("%d events while only numbers changed, want at most %d for the PodGroup and %d for who asks", n, rounds, asked)
	}
}

// roundsIn is how often a gang of that size may be told anew in that time: after
// 20 ms for each member, and then twice as long each time up to 240 ms.
func roundsIn(length time.Duration, size int) int {
	pause, rounds := time.Duration(size)*20*time.Millisecond, 0
	for at := pause; at <= length; at += pause {
		rounds++
		pause = min(2*pause, time.Duration(size)*240*time.Millisecond)
	}
	return rounds
}

// comeAndGo has another pod without a gang scheduled that takes a node of the gang's,
// and deletes all but the youngest few: each time the gang is planned by what is left
// when one goes, and finds room for another number of members.
func (e *env) comeAndGo(standing []string, turn int) []string {
	e.Helper()
	name := fmt.Sprintf("passer-by-%d", turn)
	e.createPods(newPod(name, asking("20", "1Gi")))
	e.Eventually(name+" is bound", func() bool {
		pod, err := e.Client.CoreV1().Pods(e.Namespace).Get(e.Context(), name, metav1.GetOptions{})
		return err == nil && pod.Spec.NodeName != ""
	})
	for standing = append(standing, name); len(standing) > turn%4; standing = standing[1:] {
		e.RemovePod(standing[0])
	}
	return standing
}

// writes counts requests by verb and resource.
type writes map[string]int

// eventRetry is longer than the pause after which client-go writes an event again: ten
// seconds and up to a quarter of that. It has to when a pod's event is followed by
// another within milliseconds, because it patches the first, which is not there yet,
// and then makes it, which is there by now.
const eventRetry = 13 * time.Second

// writesOnceQuiet counts what the audit log has once nothing was added for so long that
// no event of before is still to be written.
func (e *env) writesOnceQuiet(log string) writes {
	e.Helper()
	var seen writes
	since := time.Now()
	e.Eventually("nothing is written any more", func() bool {
		if now := readWrites(e.T, log); seen == nil || now.sum() != seen.sum() {
			seen, since = now, time.Now()
		}
		return time.Since(since) >= eventRetry
	})
	return seen
}

// readWrites counts what the audit log has, without leases: those are written
// whether or not a gang waits.
func readWrites(t *testing.T, log string) writes {
	t.Helper()
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	w := writes{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var event auditv1.Event
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // the last line may be half written
		}
		if ref := event.ObjectRef; ref != nil && ref.Resource != "leases" {
			w[strings.TrimSuffix(event.Verb+" "+ref.Resource+"/"+ref.Subresource, "/")]++
		}
	}
	return w
}

func (w writes) subtract(before writes) {
	for what, n := range before {
		w[what] -= n
	}
}

func (w writes) sum() (sum int) {
	for _, n := range w {
		sum += n
	}
	return sum
}

func (w writes) String() string {
	var lines []string
	for what, n := range w {
		lines = append(lines, fmt.Sprintf("  %-24s %d", what, n))
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprintf("  %-24s %d", "together", w.sum())), "\n")
}

// waitingNotes counts the events that tell the PodGroup why it waits.
func (e *env) waitingNotes(gang string) int {
	e.Helper()
	list, err := e.Client.EventsV1().Events(e.Namespace).List(e.Context(), metav1.ListOptions{FieldSelector: "reason=GangWaiting"})
	if err != nil {
		e.Fatalf("listing events: %v", err)
	}
	n := 0
	for _, event := range list.Items {
		if event.Regarding.Name == gang {
			n++
		}
	}
	return n
}

// eventCounts says how many Event objects there are about objects of the gang, and
// how often they say that something happened.
func (e *env) eventCounts(gang string) string {
	e.Helper()
	list, err := e.Client.EventsV1().Events(e.Namespace).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatalf("listing events: %v", err)
	}
	objects, times := map[string]int{}, map[string]int{}
	for _, event := range list.Items {
		if event.Regarding.Name != gang && !strings.HasPrefix(event.Regarding.Name, gang+"-") {
			continue
		}
		what := event.Regarding.Kind + " " + event.Reason
		objects[what]++
		times[what]++
		if event.Series != nil {
			times[what] += int(event.Series.Count) - 1
		}
	}
	var out []string
	for what, n := range objects {
		out = append(out, fmt.Sprintf("%s: %d objects, %d times", what, n, times[what]))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
