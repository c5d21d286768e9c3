// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// One member asks for a refused gang; if nothing comes of that, another may.
func TestOneAsksForAll(t *testing.T) {
	w := newWorld(t, 0)
	key, p, q := w.pair("p", "q")
	w.book.refuse(key, "no room", "", w.now)
	if asks, _ := w.book.forgive(key, p, w.now.Add(firstBackoff)); !asks {
		t.Error("the first is not woken")
	}
	if asks, _ := w.book.forgive(key, q, w.now.Add(firstBackoff)); asks {
		t.Error("the second is woken beside the first")
	}
	if asks, _ := w.book.forgive(key, q, w.now.Add(firstBackoff+probeLife)); !asks {
		t.Error("the second is not woken though the first never asked")
	}
}

// The pause ends for whoever is shown an event then and for the timer that an earlier
// event set. One of them has the gang ask, and the other does not.
func TestOneAsksWhenThePauseEnds(t *testing.T) {
	w := newWorld(t, 0)
	key, p, q := w.pair("p", "q")
	w.book.refuse(key, "no room", "", w.now)
	if _, later := w.book.forgive(key, p, w.now); later != firstBackoff {
		t.Fatalf("after an event the gang asks in %v, want %v", later, firstBackoff)
	}
	if asks, _ := w.book.forgive(key, q, w.now.Add(firstBackoff)); !asks {
		t.Fatal("who is shown an event when the pause is over does not ask")
	}
	if pods := w.book.retry(key, w.now.Add(firstBackoff)); len(pods) != 0 {
		t.Errorf("%s asks as well, because of the earlier event", pods[0].Name)
	}
}

// A gang that is refused again and again backs off as one, whoever asks for it, until
// a member is placed; and if something happened meanwhile that may help, it asks when
// the pause is over.
func TestGangBacksOffAsOne(t *testing.T) {
	w := newWorld(t, 0)
	key, p, q := w.pair("p", "q")
	for i, pause := range []time.Duration{firstBackoff, 2 * firstBackoff, 4 * firstBackoff} {
		w.book.refuse(key, "no room", "", w.now)
		if pods := w.book.retry(key, w.now.Add(maxBackoff)); len(pods) != 0 {
			t.Errorf("refused %d times: %d members are woken though nothing happened", i+1, len(pods))
		}
		for j, pod := range []*v1.Pod{p, q} {
			asks, later := w.book.forgive(key, pod, w.now.Add(pause-1))
			if want := []time.Duration{1, 0}[j]; asks || later != want {
				t.Errorf("refused %d times: asks %v, or again in %v, %d members before it, want in %v", i+1, asks, later, j, want)
			}
		}
		if message, ok := w.book.refusal(key, p.UID, w.now.Add(pause-1)); message != "no room" || !ok {
			t.Errorf("refused %d times: the answer is %q, %v while it backs off", i+1, message, ok)
		}
		if pods := w.book.retry(key, w.now.Add(pause-1)); len(pods) != 0 {
			t.Errorf("refused %d times: %d members are woken before %v have passed", i+1, len(pods), pause)
		}
		if pods := w.book.retry(key, w.now.Add(pause)); len(pods) != 1 {
			t.Errorf("refused %d times: %d members are woken after %v, want one", i+1, len(pods), pause)
		}
	}
	for range 20 {
		w.book.refuse(key, "no room", "", w.now)
	}
	if asks, _ := w.book.forgive(key, p, w.now.Add(maxBackoff)); !asks {
		t.Errorf("refused often: does not ask after %v", maxBackoff)
	}
	w.book.upsert(on1(p, "n"))
	w.book.refuse(key, "no room for more", "", w.now)
	if asks, _ := w.book.forgive(key, q, w.now.Add(firstBackoff)); !asks {
		t.Error("the pause did not begin anew when a member was placed")
	}
}

// While the member that was refused is in the queue again, for whatever reason, no
// event is shown to any; so it asks anew, and the answer serves the others alone.
func TestWhoHeardARefusalAsksAnew(t *testing.T) {
	w := newWorld(t, 0)
	key, p, q := w.pair("p", "q")
	w.book.refuse(key, "no room", p.UID, w.now)
	for pod, want := range map[*v1.Pod]bool{p: false, q: true} {
		if _, served := w.book.refusal(key, pod.UID, w.now); served != want {
			t.Errorf("the answer that %s was given serves %s: %v, want %v", p.Name, pod.Name, served, want)
		}
	}
}
