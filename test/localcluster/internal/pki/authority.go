// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is the validity of certificates. It exceeds the life of every local cluster.
const lifetime = 365 * 24 * time.Hour

// clockSkew is how long before their creation certificates become valid, in case the clock
// is set back while a cluster runs.
const clockSkew = time.Hour

// Authority is a certificate authority.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// CertFile is the authority's own certificate.
	CertFile string
	// CertPEM is the content of CertFile.
	CertPEM []byte
}

// Pair is a certificate and its key, on disk and in memory.
type Pair struct {
	CertFile, KeyFile string
	CertPEM, KeyPEM   []byte
}

// Subject is the user of a client certificate.
type Subject struct {
	// User is the user name that the API server reads; Groups are the user's groups.
	User   string
	Groups []string
}

// NewAuthority creates an authority that writes its files, and those of its certificates, to dir.
func NewAuthority(dir, name string) (*Authority, error) {
	template := newTemplate(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("making the key of %s: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading %s back: %w", name, err)
	}
	authority := &Authority{dir: dir, cert: cert, key: key, CertFile: filepath.Join(dir, name+".crt"), CertPEM: encodeCert(der)}
	return authority, writeFile(authority.CertFile, authority.CertPEM)
}

// Serve creates a certificate for a server on loopback. extra are further host names of the server.
func (a *Authority) Serve(name string, extra ...string) (Pair, error) {
	template := newTemplate(pkix.Name{CommonName: name})
	template.DNSNames = append([]string{"localhost"}, extra...)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	// etcd's gRPC gateway calls its own server with the serving certificate, so it must also be a client certificate.
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return a.issue(name, template)
}

// Client creates a client certificate of the subject.
func (a *Authority) Client(name string, subject Subject) (Pair, error) {
	template := newTemplate(pkix.Name{CommonName: subject.User, Organization: subject.Groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(name, template)
}

func (a *Authority) issue(name string, template *x509.Certificate) (Pair, error) {
	pair, key, err := newPair(a.dir, name)
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing certificate %s: %w", name, err)
	}
	pair.CertFile, pair.CertPEM = filepath.Join(a.dir, name+".crt"), encodeCert(der)
	return pair, writeFile(pair.CertFile, pair.CertPEM)
}

// NewKey makes a key without a certificate, for signing service account tokens.
func NewKey(dir, name string) (Pair, error) {
	pair, _, err := newPair(dir, name)
	return pair, err
}

func newPair(dir, name string) (Pair, *ecdsa.PrivateKey, error) {
	key, err := newKey()
	if err != nil {
		return Pair{}, nil, fmt.Errorf("making key %s: %w", name, err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, nil, fmt.Errorf("encoding key %s: %w", name, err)
	}
	pair := Pair{
		KeyFile: filepath.Join(dir, name+".key"),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}
	return pair, key, writeFile(pair.KeyFile, pair.KeyPEM)
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// newTemplate omits the serial number: x509 generates a random one.
func newTemplate(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		Subject:   subject,
		NotBefore: time.Now().Add(-clockSkew),
		NotAfter:  time.Now().Add(lifetime),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// writeFile writes a file that only its owner may read, because the directory holds keys and kubeconfigs.
func writeFile(file string, content []byte) error {
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
