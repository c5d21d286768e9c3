// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// proxy stands between a replica of Dovetail and the API server. It passes the replica's token
// on, so the API server grants what it grants the replica.
type proxy struct {
	rules
	counts   *counts
	server   *httptest.Server
	target   *url.URL
	upstream http.RoundTripper
	conns    connections

	mu sync.Mutex
	// refusing is true while the proxy breaks every request, as in a network partition.
	refusing bool
	// latency is added to each request that is no watch.
	latency time.Duration
	// stalled has the resources whose watches deliver nothing, and until when.
	stalled map[string]time.Time
	watches map[*stream]bool
	// bindings is called at each binding that arrives.
	bindings func()
}

// stream is a watch that the proxy passes on.
type stream struct {
	request
	cancel context.CancelFunc
}

// newProxy starts a proxy of an API server.
func newProxy(apiServer *rest.Config, counts *counts) (*proxy, error) {
	target, err := url.Parse(apiServer.Host)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(apiServer.CAData)
	p := &proxy{
		counts: counts, target: target, stalled: map[string]time.Time{}, watches: map[*stream]bool{},
		upstream: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.conns.Listener = p.server.Listener
	p.server.Listener = &p.conns
	p.server.StartTLS()
	return p, nil
}

// config returns a client configuration with the address and the certificate authority of the
// proxy.
func (p *proxy) config() *rest.Config {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	return &rest.Config{Host: p.server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}
}

// ServeHTTP passes a request on, or treats it by a rule. Panics with http.ErrAbortHandler
// break the request's stream, which the client sees as a broken connection.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := readRequest(r)
	p.observe(r.Context(), asked)
	taken := p.take(asked)
	if taken == nil {
		p.pass(w, r, asked)
		return
	}
	if !taken.after() {
		p.counts.add(taken.kind)
	}
	switch taken.treatment {
	case delay:
		sleep(r.Context(), taken.pause)
		p.pass(w, r, asked)
	case answer:
		refuse(w, taken.code)
	case cutBefore:
		panic(http.ErrAbortHandler)
	default:
		p.afterWrite(w, r, taken)
	}
}

// observe applies the faults that affect all requests, a partition and latency, and calls the
// function of onBinding for a binding.
func (p *proxy) observe(ctx context.Context, asked request) {
	p.mu.Lock()
	refusing, latency, bindings := p.refusing, p.latency, p.bindings
	p.mu.Unlock()
	if refusing {
		panic(http.ErrAbortHandler)
	}
	if asked.verb != "watch" {
		sleep(ctx, latency)
	}
	if bindings != nil && asked.resource == "pods/binding" {
		bindings()
	}
}

// afterWrite has the API server do the write, and then treats the answer. It passes the answer
// on if the API server refused the write.
func (p *proxy) afterWrite(w http.ResponseWriter, r *http.Request, taken *rule) {
	response := p.forward(r)
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		p.giveBack(taken)
		copyAnswer(w, response)
		return
	}
	p.counts.add(taken.kind)
	if taken.treatment == answerAfter {
		refuse(w, taken.code)
		return
	}
	panic(http.ErrAbortHandler)
}

// pass passes a request on and its answer back.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, asked request) {
	if asked.verb == "watch" {
		p.passWatch(w, r, asked)
		return
	}
	response := p.forward(r)
	defer response.Body.Close()
	copyAnswer(w, response)
}

// forward sends a request to the API server. A failure breaks the client's stream.
func (p *proxy) forward(r *http.Request) *http.Response {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = p.target.Scheme, p.target.Host, p.target.Host, ""
	response, err := p.upstream.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return response
}

func (p *proxy) passWatch(w http.ResponseWriter, r *http.Request, asked request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &stream{request: asked, cancel: cancel}
	p.mu.Lock()
	p.watches[s] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watches, s)
	}()
	response := p.forward(r.WithContext(ctx))
	defer response.Body.Close()
	maps.Copy(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	flusher := w.(http.Flusher)
	flusher.Flush()
	buffer := make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(buffer)
		p.holdBack(ctx, asked.resource)
		if _, failed := w.Write(buffer[:n]); failed != nil || err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		flusher.Flush()
	}
}

// holdBack waits while the watches of a resource are stalled.
func (p *proxy) holdBack(ctx context.Context, resource string) {
	p.mu.Lock()
	pause := max(time.Until(p.stalled[resource]), time.Until(p.stalled[anyResource]))
	p.mu.Unlock()
	sleep(ctx, pause)
}

// anyResource stands for all resources in place of a resource name.
const anyResource = "*"

// stall has the watches of a resource deliver nothing for a time.
func (p *proxy) stall(resource string, length time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled[resource] = time.Now().Add(length)
}

// cutWatches breaks the watches of a resource. It returns their number.
func (p *proxy) cutWatches(resource string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	cut := 0
	for s := range p.watches {
		if resource == anyResource || s.resource == resource {
			s.cancel()
			cut++
		}
	}
	return cut
}

func (p *proxy) setRefusing(on bool) {
	p.mu.Lock()
	p.refusing = on
	p.mu.Unlock()
	if on {
		p.conns.cut()
	}
}

func (p *proxy) setLatency(latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = latency
}

func (p *proxy) onBinding(seen func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bindings = seen
}

func (p *proxy) stop() {
	p.setRefusing(true)
	p.server.Close()
}

func copyAnswer(w http.ResponseWriter, response *http.Response) {
	maps.Copy(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(w, response.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// reasons are the reasons that the API server gives with a code.
var reasons = map[int]metav1.StatusReason{
	http.StatusConflict: metav1.StatusReasonConflict, http.StatusGone: metav1.StatusReasonExpired,
	http.StatusTooManyRequests: metav1.StatusReasonTooManyRequests, http.StatusInternalServerError: metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable: metav1.StatusReasonServiceUnavailable, http.StatusGatewayTimeout: metav1.StatusReasonTimeout,
}

// refuse answers like an API server that refuses a request.
func refuse(w http.ResponseWriter, code int) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reasons[code], Message: "a fault of test/chaos: " + strconv.Itoa(code),
	}
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(status); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func sleep(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
