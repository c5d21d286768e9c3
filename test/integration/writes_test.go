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

// writesEnv is an environment variable. If it is set, TestWaitingGangWritesLittle runs for
// five minutes with a gang of 500.
const writesEnv = "WRITES_FULL"

// leastTurns is the minimum time for which pods come and go.
const leastTurns = 20 * time.Second

// auditPolicy makes the API server log the write requests of the scheduler.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
  users: ["system:serviceaccount:dovetail-system:dovetail"]
- level: None
`

// A gang that cannot fit must cause few writes while it waits, although other pods come and
// go and each takes the room of a member. Each member must get a message with the reason.
// The message must be updated when the numbers change, but not for every pod.
func TestWaitingGangWritesLittle(t *testing.T) {
	size, wait := 100, time.Duration(0)
	if os.Getenv(writesEnv) != "" {
		size, wait = 500, 5*time.Minute // in that time the scheduler retries all pods, whatever events it got
	}
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	e := onOwn(t, localcluster.Options{
		Fleets:  []fleet.Spec{plainFleet(t, fmt.Sprintf("shape=plain,spines=1,leaves=10,nodes=%d", size*4/5/10))},
		Without: withoutOthers,
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
	// Each member gets two messages: that its gang is incomplete, and that it does not fit.
	// Each is a condition and an event.
	if most := 4*size + 2; told.sum() > most {
		t.Errorf("%d writes until every member was told, want at most 4 for each of %d members and 2 for their PodGroup", told.sum(), size)
	}
	// Each pod that comes and goes gets a binding and an event. The member that is retried
	// gets a condition and an event. The gang is retried every 4 seconds after its sixth
	// refusal. The first round of messages may start after all members got their first
	// message.
	rounds, asked := 1+roundsIn(length, size), 6+int(length/(4*time.Second))
	if n, most := waited.sum()-2*turns, rounds*(size+1)+2*asked+2; n > most {
		t.Errorf("%d writes for the gang while it waited, want at most %d for each of %d members and their PodGroup, and 2 each of %d times that one asks", n, rounds, size, asked)
	}
	if n, most := waited["create events"]+waited["patch events"]-turns, rounds+asked; n > most {
		t.Errorf("%d events while only numbers changed, want at most %d for the PodGroup and %d for who asks", n, rounds, asked)
	}
}

// roundsIn returns how many times the messages of a gang of that size may be updated in
// that time. The first interval is 20 ms for each member. It doubles each time, up to 240
// ms for each member.
func roundsIn(length time.Duration, size int) int {
	pause, rounds := time.Duration(size)*20*time.Millisecond, 0
	for at := pause; at <= length; at += pause {
		rounds++
		pause = min(2*pause, time.Duration(size)*240*time.Millisecond)
	}
	return rounds
}

// comeAndGo creates a pod without a gang that takes a node, and waits until it is bound. It
// deletes all but the youngest turn%4 of these pods. The gang is planned after each
// deletion and finds room for another number of members.
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

// eventRetry exceeds the interval after which client-go retries the write of an event: ten
// seconds plus up to a quarter. A retry is needed when two events of a pod follow within
// milliseconds. client-go then patches the first event, which does not exist yet, and then
// tries to create it, when it already exists.
const eventRetry = 13 * time.Second

// writesOnceQuiet counts the writes in the audit log. It first waits until the log has not
// grown for eventRetry, so no earlier event is still to be written.
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

// readWrites counts the writes in the audit log, except those of leases, which do not
// depend on waiting gangs.
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
			continue // the last line may be incomplete
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

// waitingNotes counts the PodGroup's events with reason GangWaiting.
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

// eventCounts returns the number of Event objects about the gang and its pods, and the sum
// of their counts, by kind and reason.
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
