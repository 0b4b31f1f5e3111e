package relocktest

import (
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
)

// Nodes are the servers of a RedLock, each of which can be taken down. They are
// as [Server] is.
type Nodes []*Server

// NewNodes starts n servers for tb, each as [New] does.
func NewNodes(tb testing.TB, n int, opts ...relock.Option) Nodes {
	tb.Helper()
	if n < 1 {
		tb.Fatalf("relocktest: NewNodes(%d)", n)
	}
	nodes := make(Nodes, n)
	for i := range nodes {
		nodes[i] = New(tb, opts...)
	}
	return nodes
}

// RedLock returns a new RedLock on the servers, of connections of its own, as
// another process would have. It is closed with the test. An option that
// [redlock.New] refuses fails the test.
func (n Nodes) RedLock(opts ...redlock.Option) *redlock.RedLock {
	tb := n[0].tb
	tb.Helper()
	clients := make([]*relock.Client, len(n))
	for i, s := range n {
		clients[i] = s.Client()
	}
	r, err := redlock.New(clients, opts...)
	if err != nil {
		tb.Fatalf("relocktest: %v", err)
	}
	tb.Cleanup(func() {
		for _, s := range n {
			s.Up()
		}
		_ = r.Close()
	})
	return r
}

// Take is [Server.Take] of a RedLock's lock.
func (n Nodes) Take(name string) (release func()) {
	n[0].tb.Helper()
	return take(n[0].tb, n.RedLock().Mutex(name))
}

// Lose is [Server.Lose] of a RedLock's lease.
func (n Nodes) Lose(lease *relock.Lease) {
	n[0].tb.Helper()
	lose(n[0].tb, n.RedLock().Mutex(lease.Name()), lease)
}
