// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"net"
	"sync"
)

// connections is a listener that can close all connections that it has accepted.
type connections struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
}

// Accept accepts a connection and remembers it until it is closed.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	tracked := &connection{Conn: conn, of: c}
	c.open[tracked] = true
	return tracked, nil
}

// cut closes all connections and returns their number.
func (c *connections) cut() int {
	c.mu.Lock()
	var open []net.Conn
	for conn := range c.open {
		open = append(open, conn)
	}
	c.mu.Unlock()
	for _, conn := range open {
		conn.Close() //nolint:errcheck // The other side may have closed it.
	}
	return len(open)
}

type connection struct {
	net.Conn
	of *connections
}

// Close closes the connection.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
