// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func TestServerAndClientVerifyTheirCertificates(t *testing.T) {
	dir := t.TempDir()
	authority, stranger := newAuthority(t, dir, "ca"), newAuthority(t, dir, "stranger")
	server := serve(t, authority)
	subject := Subject{User: "ann", Groups: []string{"engineers"}}
	for name, test := range map[string]struct {
		trusted, signer *Authority
		want            string
	}{
		"the same authority":           {trusted: authority, signer: authority, want: "ann [engineers]"},
		"a client of another":          {trusted: authority, signer: stranger},
		"a client that trusts another": {trusted: stranger, signer: authority},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := test.signer.Client("client", subject)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "kubeconfig")
			if err := WriteKubeconfig(file, Server{URL: server, CAPEM: test.trusted.CertPEM}, pair); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, file); got != test.want {
				t.Errorf("the server greets %q, want %q", got, test.want)
			}
		})
	}
}

func TestOnlyTheOwnerMayReadKeys(t *testing.T) {
	dir := t.TempDir()
	authority := newAuthority(t, dir, "ca")
	if _, err := authority.Serve("serving"); err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(dir, "tokens"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", entry.Name(), info.Mode())
		}
		names = append(names, entry.Name())
	}
	if want := []string{"ca.crt", "serving.crt", "serving.key", "tokens.key"}; !slices.Equal(want, names) {
		t.Errorf("files are %v, want %v: an authority's key stays in memory", names, want)
	}
}

// serve returns the name and groups of clients, and refuses clients without a certificate of the authority.
func serve(t *testing.T, authority *Authority) string {
	t.Helper()
	pair, err := authority.Serve("server")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority.CertPEM)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		io.WriteString(w, subject.CommonName+" ["+subject.Organization[0]+"]") //nolint:errcheck // The client's test fails then.
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// ask returns the server's response, or "" if client and server do not trust each other.
func ask(t *testing.T, kubeconfig string) string {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(config.Host)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func newAuthority(t *testing.T, dir, name string) *Authority {
	t.Helper()
	authority, err := NewAuthority(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}
