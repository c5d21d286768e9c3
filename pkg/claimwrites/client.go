// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package claimwrites

import (
	"context"

	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	resourceclients "k8s.io/client-go/kubernetes/typed/resource/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Handle is a framework handle with a client that, if the answer to a write of a
// ResourceClaim is lost, finds out whether the write was carried out.
type Handle struct {
	fwk.Handle
	client *client
}

// NewHandle wraps the handle. The client calls seen with a copy of each claim that a read
// or a patch returns, in the goroutine of the request. seen can add these claims to the
// scheduler's cache of claims: the in-tree DynamicResources plugin adds only the results of
// updates.
func NewHandle(real fwk.Handle, seen func(*resourceapi.ResourceClaim)) Handle {
	return Handle{Handle: real, client: &client{Interface: real.ClientSet(), seen: seen}}
}

// ClientSet returns the client.
func (h Handle) ClientSet() kubernetes.Interface { return h.client }

type client struct {
	kubernetes.Interface
	seen func(*resourceapi.ResourceClaim)
}

func (c *client) ResourceV1() resourceclients.ResourceV1Interface {
	return &group{ResourceV1Interface: c.Interface.ResourceV1(), seen: c.seen}
}

type group struct {
	resourceclients.ResourceV1Interface
	seen func(*resourceapi.ResourceClaim)
}

func (g *group) ResourceClaims(namespace string) resourceclients.ResourceClaimInterface {
	return &claims{ResourceClaimInterface: g.ResourceV1Interface.ResourceClaims(namespace), seen: g.seen}
}

type claims struct {
	resourceclients.ResourceClaimInterface
	seen func(*resourceapi.ResourceClaim)
}

func (c *claims) Get(ctx context.Context, name string, options metav1.GetOptions) (*resourceapi.ResourceClaim, error) {
	return c.answered(c.ResourceClaimInterface.Get(ctx, name, options))
}

//revive:disable-next-line:argument-limit as the interface has it
func (c *claims) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, options metav1.PatchOptions, subresources ...string) (*resourceapi.ResourceClaim, error) {
	return c.answered(c.ResourceClaimInterface.Patch(ctx, name, kind, patch, options, subresources...))
}

func (c *claims) Update(ctx context.Context, claim *resourceapi.ResourceClaim, options metav1.UpdateOptions) (*resourceapi.ResourceClaim, error) {
	return c.write(ctx, &update{
		sent: claim, shows: hasFinalizers,
		send: func(claim *resourceapi.ResourceClaim) (*resourceapi.ResourceClaim, error) {
			return c.ResourceClaimInterface.Update(ctx, claim, options)
		},
	})
}

func (c *claims) UpdateStatus(ctx context.Context, claim *resourceapi.ResourceClaim, options metav1.UpdateOptions) (*resourceapi.ResourceClaim, error) {
	return c.write(ctx, &update{
		sent: claim, shows: hasStatus, allocates: true,
		send: func(claim *resourceapi.ResourceClaim) (*resourceapi.ResourceClaim, error) {
			return c.ResourceClaimInterface.UpdateStatus(ctx, claim, options)
		},
	})
}

func (c *claims) answered(claim *resourceapi.ResourceClaim, err error) (*resourceapi.ResourceClaim, error) {
	if err == nil && claim != nil {
		c.seen(claim.DeepCopy())
	}
	return claim, err
}
