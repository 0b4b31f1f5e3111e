package redlock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// Quorums of embedded servers, in virtual time.

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { <-time.After(time.Minute) }) // what go-redis does after Close has an end too
		f(t)
	})
}

func embedded(t *testing.T, n int) (servers []*miniredis.Miniredis) {
	for range n {
		m, _ := redistest.EmbeddedInMemory(t)
		servers = append(servers, m)
	}
	return servers
}

// locksOn returns a quorum of the servers as one process has it, and its locks;
// wrap says by what each node is reached.
func locksOn(t *testing.T, servers []*miniredis.Miniredis, wrap func(i int, n engine.Node) engine.Node) (*quorum, *relock.Client) {
	t.Helper()
	var nodes []engine.Node
	var first *relock.Client
	for i, m := range servers {
		rdb := redistest.InMemoryClient(m)
		c, err := relock.New(rdb)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = c.Close(), rdb.Close() })
		nodes = append(nodes, wrap(i, access.Client(c).Redis.AsNode(engine.NewID())))
		if first == nil {
			first = c
		}
	}
	q := newQuorum(nodes, settings{quorum: majority(len(nodes))})
	locks := access.NewQuorum(q, first).(*relock.Client)
	t.Cleanup(func() { _ = locks.Close() })
	return q, locks
}
