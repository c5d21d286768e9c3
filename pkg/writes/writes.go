// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package writes

import (
	"errors"
	"net"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Refused reports whether the error proves that the write was not carried out and will not
// be. It returns false for nil, and for every error that it does not know.
//
// Two kinds of errors are a proof:
//
//   - An answer with a 4xx code, except 408. The API server sends them before it stores
//     anything (k8s.io/apiserver/pkg/endpoints/handlers), and a proxy sends them instead of
//     passing the request on. 409 Conflict and 404 Not Found come out of the transaction in
//     etcd that compares the object's version, which then stores nothing
//     (k8s.io/apiserver/pkg/storage/etcd3). 429 is a limit on requests or on evictions. 408
//     means that the server or a proxy gave up waiting.
//   - A connection that was never made, like "connection refused". net/http sends a write
//     again by itself only if nothing of it was sent before.
//
// Answers with a 5xx code prove nothing. 504 is sent while the request is still handled, and
// 500 is also the answer if etcd did not reply in time.
//
// client-go repeats a request by itself after a 429 or 5xx with Retry-After
// (k8s.io/client-go/rest/with_retry.go), and returns only the last error. If an earlier
// repetition was carried out, the last one gets 409 Conflict or 404 Not Found. A caller
// for which this matters must read the object after 409 and 404 as well.
func Refused(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusRequestTimeout
	}
	var connection *net.OpError
	return errors.As(err, &connection) && connection.Op == "dial"
}
