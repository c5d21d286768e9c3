// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package writes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dovetail-dev/dovetail/pkg/writes"
)

func TestRefused(t *testing.T) {
	claims := schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}
	cause := errors.New("because")
	answer := func(code int) error {
		return apierrors.NewGenericServerResponse(code, http.MethodPut, claims, "gpus", "plain text", 0, true)
	}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nil":                      {nil, false},
		"bad request":              {apierrors.NewBadRequest("malformed"), true},
		"unauthorized":             {apierrors.NewUnauthorized("expired"), true},
		"forbidden":                {apierrors.NewForbidden(claims, "gpus", cause), true},
		"not found":                {apierrors.NewNotFound(claims, "gpus"), true},
		"method not supported":     {apierrors.NewMethodNotSupported(claims, "update"), true},
		"request timeout":          {answer(http.StatusRequestTimeout), false},
		"conflict":                 {apierrors.NewConflict(claims, "gpus", cause), true},
		"already exists":           {apierrors.NewAlreadyExists(claims, "gpus"), true},
		"expired":                  {apierrors.NewResourceExpired("old"), true},
		"too large":                {apierrors.NewRequestEntityTooLargeError("big"), true},
		"invalid":                  {apierrors.NewInvalid(schema.GroupKind{Kind: "ResourceClaim"}, "gpus", nil), true},
		"too many requests":        {apierrors.NewTooManyRequests("later", 1), true},
		"a limit in plain text":    {answer(http.StatusTooManyRequests), true},
		"internal error":           {apierrors.NewInternalError(errors.New("etcdserver: request timed out")), false},
		"server timeout":           {apierrors.NewServerTimeout(claims, "update", 2), false},
		"bad gateway":              {answer(http.StatusBadGateway), false},
		"service unavailable":      {apierrors.NewServiceUnavailable("starting"), false},
		"timeout":                  {apierrors.NewTimeoutError("request did not complete", 0), false},
		"a wrapped refusal":        {fmt.Errorf("add allocation: %w", apierrors.NewForbidden(claims, "gpus", cause)), true},
		"a wrapped timeout":        {fmt.Errorf("add allocation: %w", apierrors.NewTimeoutError("late", 0)), false},
		"deadline":                 {context.DeadlineExceeded, false},
		"cancelled":                {context.Canceled, false},
		"connection reset":         {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
		"broken pipe":              {&net.OpError{Op: "write", Err: syscall.EPIPE}, false},
		"connection refused":       {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"end of the connection":    {io.ErrUnexpectedEOF, false},
		"an error of the caller's": {errors.New("claim got deleted in the meantime"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := writes.Refused(test.err); got != test.want {
				t.Errorf("Refused(%v) = %v, want %v", test.err, got, test.want)
			}
		})
	}
}

// The errors of net/http are the ones that Refused judges: of a server that cuts the
// connection after it has read the request, and of an address where no server listens.
func TestRefusedByRealConnections(t *testing.T) {
	carriedOut := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		carriedOut++
		panic(http.ErrAbortHandler)
	}))
	if err := put(server.URL); writes.Refused(err) || err == nil || carriedOut != 1 {
		t.Errorf("the write was carried out %d times and its answer lost: %v", carriedOut, err)
	}
	server.Close()
	if err := put(server.URL); !writes.Refused(err) {
		t.Errorf("the write was never sent: %v", err)
	}
}

func put(url string) error {
	request, err := http.NewRequest(http.MethodPut, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
