// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

var update = flag.Bool("update", false, "rewrite testdata/sentences.txt")

const (
	golden = "testdata/sentences.txt"
	// patience bounds the wait for a sentence, quiet is how long one that is new
	// must stay the same: what a gang says may change while its pods are seen.
	patience = 60 * time.Second
	quiet    = 4 * time.Second
)

const goldenHead = `Why a gang waits: every kind of sentence that the scheduler writes on the pods of a
gang and on the object that declares it. The gang is ml/train. TestSentences makes
each situation and reads the sentence off the pods; "go test ./pkg/plugins -run
TestSentences -update" rewrites this file.
`

// named is the gang as users know it, with the source that declared it.
var named = regexp.MustCompile(`\b(podgroup|raycluster|jobset|ganglabel) ml/train\b`)

// Every reason for which a gang can wait has a sentence that says how many and
// which, names the gang and its source, and stands on every pod of the gang that
// waits.
func TestSentences(t *testing.T) {
	want := readGolden(t)
	var mu sync.Mutex
	got := make([]string, len(reasons))
	for i, reason := range reasons {
		got[i] = want[reason.title] // stays if only some are run
	}
	t.Run("reasons", func(t *testing.T) {
		for i, reason := range reasons {
			t.Run(reason.title, func(t *testing.T) {
				t.Parallel()
				sentence := reason.play(t, want[reason.title])
				mu.Lock()
				defer mu.Unlock()
				got[i] = sentence
			})
		}
	})
	text := goldenHead
	for i, reason := range reasons {
		text += "\n# " + reason.title + "\n" + got[i] + "\n"
		if !reason.countless && !regexp.MustCompile(`[0-9]`).MatchString(got[i]) {
			t.Errorf("%s: the sentence has no number: %s", reason.title, got[i])
		}
		if !reason.single && !named.MatchString(got[i]) {
			t.Errorf("%s: the sentence does not name the gang with its source: %s", reason.title, got[i])
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	content, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(content), text); diff != "" {
		t.Errorf("(-want,+got)\n%s", diff)
	}
}

// readGolden returns the sentences by title.
func readGolden(t *testing.T) map[string]string {
	content, err := os.ReadFile(golden)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	found := map[string]string{}
	title := ""
	for _, line := range strings.Split(string(content), "\n") {
		if after, ok := strings.CutPrefix(line, "# "); ok {
			title = after
		} else if title != "" && line != "" {
			found[title] = line
		}
	}
	return found
}

// play makes the situation and returns what is said about it.
func (r reason) play(t *testing.T, want string) string {
	s := newScene(t)
	r.before(s)
	s.run()
	if r.after != nil {
		r.after(s)
	}
	if *update {
		want = ""
	}
	return s.sentence(want)
}

// sentence waits until the gang says what is wanted; if nothing is wanted, until it
// says the same for a while.
func (s *scene) sentence(want string) string {
	s.Helper()
	said, since, why := "", time.Now(), ""
	err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var now string
		if now, why = s.said(ctx); now != said {
			said, since = now, time.Now()
		}
		return said != "" && (said == want || want == "" && time.Since(since) > quiet), nil
	})
	if err != nil {
		s.Errorf("waited %v in vain for a sentence (%s)\nwant %q\n got %q", patience, why, want, said)
	}
	return said
}

// said returns the sentence that stands on every pod of the gang that waits, or ""
// and why there is none.
func (s *scene) said(ctx context.Context) (sentence, why string) {
	list, err := s.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Fatalf("listing pods: %v", err)
	}
	var conditions []string
	for _, pod := range list.Items {
		if strings.HasPrefix(pod.Name, "train-") && pod.Spec.NodeName == "" && len(pod.Spec.SchedulingGates) == 0 && pod.Spec.SchedulerName == profile {
			conditions = append(conditions, condition(&pod))
		}
	}
	if len(conditions) == 0 {
		return "", "no pod of the gang waits; its last event: " + s.recorder.last("train")
	}
	if sentence = s.lastEvent(ctx, "train"); sentence == "" {
		sentence = tried.ReplaceAllString(slices.Min(conditions), "$1") // nothing declares the gang but its pods
	}
	for _, condition := range conditions {
		if !strings.Contains(condition, sentence) {
			return "", fmt.Sprintf("a pod says %q, the gang %q", condition, sentence)
		}
	}
	return clock.ReplaceAllString(sentence, "14:20 UTC"), "nothing is said"
}

// clock is a time of day in a sentence.
var clock = regexp.MustCompile(`\b[0-9]{2}:[0-9]{2} UTC\b`)

// lastEvent returns the last sentence about an object that declares a gang.
func (s *scene) lastEvent(ctx context.Context, name string) string {
	list, err := s.client.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		s.Fatalf("listing events: %v", err)
	}
	var last eventsv1.Event
	for _, event := range list.Items {
		if event.Regarding.Name == name && event.EventTime.After(last.EventTime.Time) {
			last = event
		}
	}
	return last.Note
}

// tried is what stock writes around the sentence on a pod that had a cycle.
var tried = regexp.MustCompile(`^0/[0-9]+ nodes are available: (.*)[.,] preemption: .*$`)

func condition(pod *v1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse {
			return c.Message
		}
	}
	return ""
}
