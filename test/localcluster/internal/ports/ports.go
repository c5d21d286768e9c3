// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Range of ports: below the ephemeral range of Linux (32768 to 60999) and above the usual
// ports of daemons.
const (
	first = 20000
	last  = 31999
)

// attempts limits the search. With fewer than half of the ports in use, a hundred failures
// in a row are practically impossible.
const attempts = 1000

// Reservation holds ports until it is released.
type Reservation struct {
	locks []net.Listener
}

// Take chooses count free ports and holds them.
func (r *Reservation) Take(count int) ([]int, error) {
	var taken []int
	for try := 0; len(taken) < count; try++ {
		if try == attempts {
			return nil, fmt.Errorf("found %d of %d free ports between %d and %d", len(taken), count, first, last)
		}
		port := first + rand.IntN(last-first+1)
		if r.take(port) == nil {
			taken = append(taken, port)
		}
	}
	return taken, nil
}

// Release releases the ports. Call it when the programs that use the ports have begun to
// listen, or will not start.
func (r *Reservation) Release() error {
	var errs []error
	for _, lock := range r.locks {
		errs = append(errs, lock.Close())
	}
	r.locks = nil
	return errors.Join(errs...)
}

// take locks the port and then checks that no process listens on it. The lock is an abstract unix socket: it needs no
// file, and the kernel releases it with the process.
func (r *Reservation) take(port int) error {
	lock, err := net.Listen("unix", fmt.Sprintf("@dovetail-localcluster-port-%d", port))
	if err != nil {
		return err
	}
	if err := Free(port); err != nil {
		return errors.Join(err, lock.Close())
	}
	r.locks = append(r.locks, lock)
	return nil
}

// Free returns an error if a process listens on the loopback port.
func Free(port int) error {
	listener, err := net.Listen("tcp", Address(port))
	if err != nil {
		return fmt.Errorf("port %d is taken: %w", port, err)
	}
	return listener.Close()
}

// Address returns the loopback address of a port.
func Address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
