// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// contextName names cluster, user and context in every kubeconfig.
const contextName = "dovetail-local"

// Server is the address and the certificate authority of an API server.
type Server struct {
	// URL is its address.
	URL string
	// CAPEM is the certificate of the authority that signed the server's certificate.
	CAPEM []byte
}

// WriteKubeconfig writes a kubeconfig for the holder of a client certificate.
func WriteKubeconfig(file string, server Server, client Pair) error {
	return writeKubeconfig(file, server, &api.AuthInfo{ClientCertificateData: client.CertPEM, ClientKeyData: client.KeyPEM})
}

// WriteTokenKubeconfig writes a kubeconfig for the holder of a token.
func WriteTokenKubeconfig(file string, server Server, token string) error {
	return writeKubeconfig(file, server, &api.AuthInfo{Token: token})
}

func writeKubeconfig(file string, server Server, user *api.AuthInfo) error {
	content, err := clientcmd.Write(api.Config{
		Clusters:       map[string]*api.Cluster{contextName: {Server: server.URL, CertificateAuthorityData: server.CAPEM}},
		AuthInfos:      map[string]*api.AuthInfo{contextName: user},
		Contexts:       map[string]*api.Context{contextName: {Cluster: contextName, AuthInfo: contextName}},
		CurrentContext: contextName,
	})
	if err != nil {
		return fmt.Errorf("encoding kubeconfig %s: %w", file, err)
	}
	return writeFile(file, content)
}
