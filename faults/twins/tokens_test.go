package twins

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// reach says which of three nodes an attempt reaches, one attempt after the
// other: some that fail and count at one node, then two that share the middle
// one.
var reach = [][]int{{0, 1, 2}, {0}, {0}, {0}, {0, 1}, {1, 2}}

// A nodes is three servers, of which some are out of reach.
type nodes struct {
	servers []*miniredis.Miniredis
	clients []*redis.Client
}

func threeNodes(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{}
	for range 3 {
		m, rdb := redistest.Embedded(t)
		n.servers, n.clients = append(n.servers, m), append(n.clients, rdb)
	}
	return n
}

// only leaves those nodes within reach.
func (n *nodes) only(live []int) {
	for i, m := range n.servers {
		m.SetError("ERR out of reach")
		if slices.Contains(live, i) {
			m.SetError("")
		}
	}
}

// awaitFree returns when those nodes have freed the lock: Unlock returns at the
// quorum, and what was granted short of one is given back in the background.
func (n *nodes) awaitFree(t *testing.T, live []int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for slices.ContainsFunc(live, func(i int) bool { return n.servers[i].Exists("relock:redlock:{m}") }) {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("nodes %v still hold the lock", live)
		}
	}
}

// maximum mints a token as is often proposed: each node counts, and the greatest
// count of a quorum is the token; 0 without a quorum.
func (n *nodes) maximum() (token int64) {
	var counts []int64
	for _, rdb := range n.clients {
		if c, err := rdb.Incr(bg, "count").Result(); err == nil {
			counts = append(counts, c)
		}
	}
	if len(counts) < 2 {
		return 0
	}
	return slices.Max(counts)
}

func TestTheMaximumOfCountsRegresses(t *testing.T) {
	n := threeNodes(t)
	var clients []*relock.Client
	for _, rdb := range n.clients {
		clients = append(clients, clientOn(t, rdb))
	}
	red, err := redlock.New(clients)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.only([]int{0, 1, 2}); _ = red.Close() })
	var counted, issued int64
	regressed := false
	for _, live := range reach {
		n.only(live)
		lease, err := red.Mutex("m").TryLock(bg)
		token := n.maximum()
		if token == 0 {
			var q *relock.QuorumError
			if !errors.As(err, &q) {
				t.Errorf("nodes %v live: RedLock says %v, want a QuorumError", live, err)
			}
			n.awaitFree(t, live)
			continue
		}
		if err != nil {
			t.Fatalf("nodes %v live: %v", live, err)
		}
		regressed = regressed || token <= counted
		if int64(lease.Token()) <= issued {
			t.Errorf("nodes %v live: RedLock's token is %d after %d", live, lease.Token(), issued)
		}
		counted, issued = token, int64(lease.Token())
		unlock(t, lease)
		n.awaitFree(t, live)
	}
	if !regressed {
		t.Error("the maximum of the counts has not regressed: these attempts prove nothing")
	}
}
