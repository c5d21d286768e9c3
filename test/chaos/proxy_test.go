// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

func TestRequestsAreRead(t *testing.T) {
	for line, want := range map[string]request{
		"POST /api/v1/namespaces/ml/pods/a/binding":                               {"create", "pods/binding", "a"},
		"PUT /apis/resource.k8s.io/v1/namespaces/ml/resourceclaims/c/status":      {"update", "resourceclaims/status", "c"},
		"GET /api/v1/pods?watch=true":                                             {"watch", "pods", ""},
		"GET /api/v1/nodes?limit=500":                                             {"list", "nodes", ""},
		"GET /api/v1/namespaces/ml":                                               {"get", "namespaces", "ml"},
		"GET /apis/ray.io/v1/namespaces/ml/rayclusters/a":                         {"get", "rayclusters", "a"},
		"PUT /apis/coordination.k8s.io/v1/namespaces/dovetail-system/leases/lead": {"update", "leases", "lead"},
		"GET /readyz":                  {"get", "", ""},
		"GET /apis/resource.k8s.io/v1": {"get", "", ""},
	} {
		method, path, _ := strings.Cut(line, " ")
		got := readRequest(httptest.NewRequest(method, path, nil))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(request{})); diff != "" {
			t.Errorf("%s (-want,+got):\n%s", line, diff)
		}
	}
}

// behindProxy returns a proxy of a server that counts the writes that it did, and a client.
func behindProxy(t *testing.T) (p *proxy, writes *atomic.Int32, call func(method, path string) (int, error)) {
	t.Helper()
	writes = &atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "refused") {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		writes.Add(1)
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	p, err := newProxy(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}, newCounts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	client, err := rest.HTTPClientFor(p.config())
	if err != nil {
		t.Fatal(err)
	}
	return p, writes, func(method, path string) (int, error) {
		asked, err := http.NewRequestWithContext(t.Context(), method, p.config().Host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(asked)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return response.StatusCode, errors.Join(err, response.Body.Close())
	}
}

const bindingPath = "/api/v1/namespaces/ml/pods/a/binding"

func TestProxyTreatsRequests(t *testing.T) {
	for name, c := range map[string]struct {
		treatment treatment
		code      int
		want      int // 0 for an error of the connection
		done      int32
	}{
		"cut before":   {cutBefore, 0, 0, 0},
		"cut after":    {cutAfter, 0, 0, 1},
		"answer":       {answer, http.StatusConflict, http.StatusConflict, 0},
		"answer after": {answerAfter, http.StatusGatewayTimeout, http.StatusGatewayTimeout, 1},
		"delay":        {delay, 0, http.StatusCreated, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, writes, call := behindProxy(t)
			p.arm(&rule{kind: name, matches: bindings, treatment: c.treatment, code: c.code, skip: 1, left: 1, until: time.Now().Add(time.Hour)})
			for i, want := range []int{http.StatusCreated, c.want, http.StatusCreated} {
				code, err := call(http.MethodPost, bindingPath)
				if (err != nil) != (want == 0) || code != want {
					t.Errorf("call %d: code %d and error %v, want %d", i, code, err, want)
				}
			}
			if got, want := writes.Load(), 2+c.done; got != want {
				t.Errorf("the server did %d writes, want %d", got, want)
			}
			if got := p.counts.total(); got != 1 {
				t.Errorf("%d faults counted, want 1", got)
			}
		})
	}
}

// A write that the server refuses is not done, so its answer is not lost.
func TestRefusedWritesKeepTheRule(t *testing.T) {
	p, _, call := behindProxy(t)
	p.arm(&rule{kind: "lost", matches: bindings, treatment: cutAfter, left: 1, until: time.Now().Add(time.Hour)})
	if code, err := call(http.MethodPost, "/api/v1/namespaces/ml/pods/refused/binding"); code != http.StatusForbidden || err != nil {
		t.Errorf("the refusal: code %d and error %v", code, err)
	}
	if code, err := call(http.MethodPost, bindingPath); err == nil {
		t.Errorf("the answer of the write was not dropped: code %d", code)
	}
}

func TestPartitionRefusesEverything(t *testing.T) {
	p, writes, call := behindProxy(t)
	p.setRefusing(true)
	if code, err := call(http.MethodPost, bindingPath); err == nil {
		t.Errorf("answered with code %d", code)
	}
	p.setRefusing(false)
	if code, err := call(http.MethodPost, bindingPath); code != http.StatusCreated || err != nil {
		t.Errorf("after the partition: code %d and error %v", code, err)
	}
	if got := writes.Load(); got != 1 {
		t.Errorf("the server did %d writes, want 1", got)
	}
}

// A seed determines the faults, and each kind comes once before any comes again.
func TestScheduleFollowsTheSeed(t *testing.T) {
	draw := func(seed uint64) (names []string, numbers []uint64) {
		s := newSchedule(seed, nil)
		for range 3 * len(table) {
			e := s.next()
			names, numbers = append(names, e.name), append(numbers, e.random.Uint64())
		}
		return names, numbers
	}
	names, numbers := draw(7)
	again, numbersAgain := draw(7)
	if diff := cmp.Diff(names, again) + cmp.Diff(numbers, numbersAgain); diff != "" {
		t.Errorf("the same seed draws other faults:\n%s", diff)
	}
	if other, _ := draw(8); cmp.Equal(names, other) {
		t.Error("another seed draws the same faults")
	}
	seen := map[string]bool{}
	for _, name := range names[:len(table)] {
		seen[name] = true
	}
	if len(seen) != len(table) || len(seen) < 25 {
		t.Errorf("the first %d faults are of %d kinds", len(table), len(seen))
	}
}
