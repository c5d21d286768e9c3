// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package writes tells which errors prove that a write to the API server was not carried
// out.
//
// An error does not prove that a write was not carried out. The answer may be lost on its
// way back, the API server may be killed after etcd has stored the object, or a request
// may still wait in a queue when the client stops waiting. A caller that counts such a
// write as not done may give the same thing, such as a device, to two owners. The caller
// must keep both possibilities open until a read or a watch event shows the object.
package writes
