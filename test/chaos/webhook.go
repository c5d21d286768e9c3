// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"hash/fnv"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// mood is what the webhook does with the writes of Dovetail.
type mood int

const (
	allows mood = iota
	// refusesBindings and refusesClaims refuse for half of the objects, by their names.
	refusesBindings
	refusesClaims
	// hangs answers only after the API server has given up.
	hangs
	// breaks cuts the connection.
	breaks
)

// webhook is an admission webhook for bindings and for the status of claims.
type webhook struct {
	server *httptest.Server
	counts *counts

	mu   sync.Mutex
	mood mood
	half uint32
}

func newWebhook(counts *counts) *webhook {
	h := &webhook{counts: counts}
	h.server = httptest.NewUnstartedServer(h)
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.server.StartTLS()
	return h
}

// moodKinds are the kinds of faults as which the refusals of each mood are counted.
var moodKinds = map[mood]string{
	refusesBindings: "webhook-refuses-bindings", refusesClaims: "webhook-refuses-claims", hangs: "webhook-hangs", breaks: "webhook-breaks",
}

// set changes the mood; half chooses the refused half of the objects.
func (h *webhook) set(mood mood, half uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mood, h.half = mood, half%2
}

// ServeHTTP answers an AdmissionReview.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
		http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
		return
	}
	mood, allowed := h.judge(review.Request)
	if !allowed {
		h.counts.add(moodKinds[mood])
		switch mood {
		case hangs:
			sleep(r.Context(), 2*webhookTimeout*time.Second)
		case breaks:
			panic(http.ErrAbortHandler)
		}
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: allowed, Result: &metav1.Status{Message: "a fault of test/chaos"}}
	if err := json.NewEncoder(w).Encode(review); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (h *webhook) judge(asked *admissionv1.AdmissionRequest) (mood, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.mood == allows,
		h.mood == refusesBindings && asked.Resource.Resource != "pods",
		h.mood == refusesClaims && asked.Resource.Resource != "resourceclaims":
		return h.mood, true
	}
	hash := fnv.New32a()
	hash.Write([]byte(asked.Namespace + "/" + asked.Name))
	return h.mood, hash.Sum32()%2 != h.half
}

// webhookTimeout is how long the API server waits for the webhook, in seconds.
const webhookTimeout = 1

// install registers the webhook. A failure of the webhook refuses the write.
func (h *webhook) install(ctx context.Context, client kubernetes.Interface) error {
	fail, none, timeout := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone, int32(webhookTimeout)
	rule := func(group, version, resource string, operation admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{operation},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource}},
		}
	}
	_, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "chaos"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "chaos.dovetail.dev", FailurePolicy: &fail, SideEffects: &none, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &h.server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule("", "v1", "pods/binding", admissionregistrationv1.Create),
				rule("resource.k8s.io", "v1", "resourceclaims/status", admissionregistrationv1.Update),
			},
		}},
	}, metav1.CreateOptions{})
	return err
}
