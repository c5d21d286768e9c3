// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package claimwrites_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/claimwrites"
)

// fault is what happens to one request.
type fault string

const (
	works fault = "works"
	// cutAfter carries out the write and cuts the connection, cutBefore only cuts it.
	cutAfter, cutBefore fault = "cut after", "cut before"
	// errorAfter carries out the write and answers 500, errorBefore only answers.
	errorAfter, errorBefore fault = "error after", "error before"
	// retryAfter carries out the write and answers 500 with Retry-After, upon which client-go
	// itself repeats the request.
	retryAfter fault = "retry after"
	// overtaken has another client write the claim first, then cuts the connection.
	overtaken fault = "overtaken"
	deleted   fault = "deleted"
	forbidden fault = "forbidden"
)

// server is an API server with one ResourceClaim.
type server struct {
	mu     sync.Mutex
	claim  *resourceapi.ResourceClaim
	writes []fault
	reads  []fault
	// done counts the writes that were carried out.
	done int
}

// next takes the next fault from the list. The last one stays.
func next(list *[]fault) fault {
	if len(*list) == 0 {
		return works
	}
	first := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &s.writes
	if r.Method == http.MethodGet {
		list = &s.reads
	}
	now := next(list)
	switch now {
	case cutBefore:
		panic(http.ErrAbortHandler)
	case errorBefore:
		answer(w, http.StatusInternalServerError, &apierrors.NewInternalError(http.ErrBodyNotAllowed).ErrStatus)
		return
	case forbidden:
		answer(w, http.StatusForbidden, &apierrors.NewForbidden(resourceapi.Resource("resourceclaims"), "gpus", http.ErrBodyNotAllowed).ErrStatus)
		return
	case overtaken:
		s.store(s.claim.DeepCopy())
		panic(http.ErrAbortHandler)
	case deleted:
		s.claim = nil
		panic(http.ErrAbortHandler)
	}
	code, object := s.handle(r)
	switch now {
	case cutAfter:
		panic(http.ErrAbortHandler)
	case retryAfter:
		w.Header().Set("Retry-After", "0")
		fallthrough
	case errorAfter:
		code, object = http.StatusInternalServerError, &apierrors.NewInternalError(http.ErrBodyNotAllowed).ErrStatus
	}
	answer(w, code, object)
}

func (s *server) handle(r *http.Request) (int, any) {
	if s.claim == nil {
		return http.StatusNotFound, &apierrors.NewNotFound(resourceapi.Resource("resourceclaims"), "gpus").ErrStatus
	}
	if r.Method == http.MethodGet {
		return http.StatusOK, s.claim
	}
	var sent resourceapi.ResourceClaim
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		return http.StatusBadRequest, &apierrors.NewBadRequest(err.Error()).ErrStatus
	}
	if sent.ResourceVersion != s.claim.ResourceVersion {
		return http.StatusConflict, &apierrors.NewConflict(resourceapi.Resource("resourceclaims"), "gpus", http.ErrBodyNotAllowed).ErrStatus
	}
	next := s.claim.DeepCopy()
	if strings.HasSuffix(r.URL.Path, "/status") {
		next.Status = sent.Status
	} else {
		next.Finalizers = sent.Finalizers
	}
	s.done++
	s.store(next)
	return http.StatusOK, s.claim
}

func (s *server) store(next *resourceapi.ResourceClaim) {
	version, _ := strconv.Atoi(s.claim.ResourceVersion)
	next.ResourceVersion = strconv.Itoa(version + 1)
	s.claim = next
}

func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object)
}

type handle struct {
	fwk.Handle
	client kubernetes.Interface
}

func (h handle) ClientSet() kubernetes.Interface { return h.client }

// newServer starts a server with a claim and returns a client of it, and the claim with an
// allocation to send.
func newServer(t *testing.T, writes, reads []fault) (*server, kubernetes.Interface, *resourceapi.ResourceClaim) {
	t.Helper()
	s := &server{writes: writes, reads: reads, claim: &resourceapi.ResourceClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "resource.k8s.io/v1", Kind: "ResourceClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "gpus", UID: "claim", ResourceVersion: "7"},
	}}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: listening.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	sent := s.claim.DeepCopy()
	sent.Status.Allocation = &resourceapi.AllocationResult{Devices: resourceapi.DeviceAllocationResult{
		Results: []resourceapi.DeviceRequestAllocationResult{{Request: "gpu", Driver: "gpu.nvidia.com", Pool: "node", Device: "gpu-0"}},
	}}
	sent.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{Resource: "pods", Name: "train-0", UID: "pod"}}
	return s, claimwrites.NewHandle(handle{client: client}, func(*resourceapi.ResourceClaim) {}).ClientSet(), sent
}

// A write ends with a definite answer, whatever happens to requests and answers, as long as
// the API server comes back. No write is carried out twice.
func TestLostAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		writes, reads []fault
		patience      time.Duration
		// want is the error of the write, done the number of writes carried out, lost whether
		// the write is reported as lost.
		want func(error) bool
		done int
		lost bool
	}{
		"no fault":                             {nil, nil, time.Minute, nil, 1, false},
		"the answer is lost":                   {[]fault{cutAfter, works}, nil, time.Minute, nil, 1, false},
		"the request is lost":                  {[]fault{cutBefore, works}, nil, time.Minute, nil, 1, false},
		"an error after the write":             {[]fault{errorAfter, works}, nil, time.Minute, nil, 1, false},
		"an error before the write":            {[]fault{errorBefore, errorBefore, works}, nil, time.Minute, nil, 1, false},
		"client-go repeats the request":        {[]fault{retryAfter, works}, nil, time.Minute, nil, 1, false},
		"reads fail for a while":               {[]fault{cutAfter, works}, []fault{errorBefore, errorBefore, works}, time.Minute, nil, 1, false},
		"the second answer is lost":            {[]fault{cutBefore, cutAfter, works}, nil, time.Minute, nil, 1, false},
		"another write was first":              {[]fault{overtaken, works}, nil, time.Minute, apierrors.IsConflict, 0, false},
		"the claim is deleted":                 {[]fault{deleted, works}, nil, time.Minute, apierrors.IsNotFound, 0, false},
		"a refusal":                            {[]fault{forbidden, works}, nil, time.Minute, apierrors.IsForbidden, 0, false},
		"a refusal after a lost request":       {[]fault{cutBefore, forbidden}, nil, time.Minute, apierrors.IsForbidden, 0, true},
		"reads fail until the time is over":    {[]fault{cutAfter}, []fault{errorBefore}, 300 * time.Millisecond, isError, 1, true},
		"requests are lost until it is over":   {[]fault{cutBefore}, nil, 300 * time.Millisecond, isError, 0, true},
		"a conflict that no read can explain":  {[]fault{retryAfter, works}, []fault{errorBefore}, 300 * time.Millisecond, apierrors.IsConflict, 1, true},
		"not asked for: the answer is lost":    {[]fault{cutAfter}, nil, 0, isError, 1, true},
		"not asked for: a refusal is no doubt": {[]fault{forbidden}, nil, 0, apierrors.IsForbidden, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, sent := newServer(t, test.writes, test.reads)
			ctx, attempt := claimwrites.Begin(context.Background(), test.patience)
			got, err := client.ResourceV1().ResourceClaims("ml").UpdateStatus(ctx, sent, metav1.UpdateOptions{})
			if test.want == nil && err != nil || test.want != nil && !test.want(err) {
				t.Fatalf("the write says %v", err)
			}
			if err == nil {
				if diff := cmp.Diff(sent.Status, got.Status); diff != "" || got.ResourceVersion != "8" {
					t.Errorf("version %s of the claim is returned (-want,+got):\n%s", got.ResourceVersion, diff)
				}
			}
			if lost := attempt.Lost(); (len(lost) > 0) != test.lost || test.lost && lost[0].Sent.ResourceVersion != "7" {
				t.Errorf("writes that may have been carried out: %v", lost)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.done != test.done {
				t.Errorf("the claim was written %d times, want %d", s.done, test.done)
			}
		})
	}
}

func isError(err error) bool { return err != nil }

// A finalizer whose answer is lost is asked for as well, but a caller need not wait for it.
func TestLostFinalizer(t *testing.T) {
	for _, test := range []struct {
		writes []fault
		fails  bool
	}{{[]fault{cutAfter, works}, false}, {[]fault{cutBefore}, true}} {
		_, client, sent := newServer(t, test.writes, nil)
		sent.Finalizers = []string{resourceapi.Finalizer}
		ctx, attempt := claimwrites.Begin(context.Background(), 300*time.Millisecond)
		got, err := client.ResourceV1().ResourceClaims("ml").Update(ctx, sent, metav1.UpdateOptions{})
		if (err != nil) != test.fails || err == nil && !slices.Contains(got.Finalizers, resourceapi.Finalizer) {
			t.Errorf("%v: the write says %v, %v", test.writes, got, err)
		}
		if lost := attempt.Lost(); len(lost) > 0 {
			t.Errorf("%v: a finalizer is reported: %v", test.writes, lost)
		}
	}
}
