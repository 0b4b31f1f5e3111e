package relock

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// node is one server of a quorum: the single engine on keys of its own, with
// tokens that are proposed to it.
type node struct{ *single }

var _ engine.Node = node{}

// ballot is what a node adds to a request.
type ballot struct {
	id      atomic.Pointer[string] // the id that the server is known by
	cluster atomic.Bool            // it has no one server: it has refused keys of two slots
}

// QuorumNode returns c's server as a node of a quorum. It is for package redlock
// alone: its type is internal, and it is no part of what stays compatible.
func (c *Client) QuorumNode() engine.Node {
	if c.eng == nil {
		return nil
	}
	s := newSingle(c.eng.rdb, newID(), c.set)
	s.space, s.ballot, s.keys = quorumSpace, &ballot{}, newKeyCache(c.set.prefix, quorumSpace)
	s.sender.every = 0   // and sends no copies
	s.direct = &direct{} // a quorum asks each node in a goroutine of its own, and minds how long it takes
	return node{s}
}

// NewLocks returns a Client whose locks live on eng, with the settings of like:
// the way of package redlock to the life of a lock. It is for that package alone:
// its parameter is internal, and it is no part of what stays compatible.
func NewLocks(eng engine.Engine, like *Client) *Client {
	set := like.set
	set.quorum = true
	return &Client{host: newHost(eng, newID(), set), set: set}
}

// cast returns the acquire r, whose arguments are args, as a vote.
func (b *ballot) cast(s *single, r *engine.Request, args []any) *command {
	keys, id := s.keys.of(r.Name), ""
	if known := b.id.Load(); known != nil {
		id = *known
		if _, cluster := s.rdb.(masters); !cluster && !b.cluster.Load() {
			// A cluster has no one server for this key beside the lock's.
			keys = append(keys, nodeKey(s.set.prefix))
		}
	}
	return newCommand(&voteScript, keys, append(args, r.Propose.Token, int(r.Propose.Kind), ms(s.set.retention), id)...)
}

// Status is described in package engine. A name that no lock can have is refused.
func (n node) Status(ctx context.Context, name string) (engine.Status, error) {
	if err := checkName(name); err != nil {
		return engine.Status{}, err
	}
	return n.single.Status(ctx, name)
}

// Acquire is described in package engine. What hides that it is a cluster, as an
// AutoPipeliner does, is found out by its refusal.
func (n node) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := n.single.Acquire(ctx, r)
	if err != nil && redis.HasErrorPrefix(err, "CROSSSLOT") && n.ballot.cluster.CompareAndSwap(false, true) {
		return n.single.Acquire(ctx, r)
	}
	return ans, err
}

// Addr returns the address the server was configured with.
func (n node) Addr() string {
	switch rdb := n.rdb.(type) {
	case interface{ Options() *redis.Options }:
		return rdb.Options().Addr
	case interface{ Options() *redis.ClusterOptions }:
		return fmt.Sprint(rdb.Options().Addrs)
	}
	return fmt.Sprintf("%T %p", n.rdb, n.rdb)
}

// Prefix is that of the node's client.
func (n node) Prefix() string { return n.set.prefix }

// CallTimeout is that of the node's client.
func (n node) CallTimeout() time.Duration { return n.set.call }

// Enrol is described in package engine.
func (n node) Enrol(ctx context.Context, id, roster string) (engine.Enrolment, error) {
	return n.enrol(ctx, id, roster)
}

// Trust is described in package engine.
func (n node) Trust(id string) { n.ballot.id.Store(&id) }

func (s *single) enrol(ctx context.Context, id, roster string) (engine.Enrolment, error) {
	c := func() *command { return newCommand(&enrolScript, []any{nodeKey(s.set.prefix)}, id, roster) }
	got := s.run(ctx, c(), repeat(c))
	if got.err != nil {
		return engine.Enrolment{}, got.err
	}
	rd := readReply(got.val)
	return engine.Enrolment{ID: rd.string(), Roster: rd.string()}, rd.err
}

// ServerID returns the id that the server keeps, the same for all its clients.
func (s *single) ServerID(ctx context.Context) (string, error) {
	e, err := s.enrol(ctx, newID(), "")
	return e.ID, err
}
