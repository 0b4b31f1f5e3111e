package redisengine

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
type node struct{ *Engine }

var _ engine.Node = node{}

// voter is what a node adds to a request.
type voter struct {
	id      atomic.Pointer[string] // the id that the server is known by
	cluster atomic.Bool            // it has no one server: it has refused keys of two slots
}

// AsNode returns s's server as a node of a quorum.
func (s *Engine) AsNode(id string) engine.Node {
	cfg := s.cfg
	cfg.Batching = BatchingOff
	n := New(s.rdb, id, cfg)
	n.space, n.voter, n.keys = quorumSpace, &voter{}, newKeyCache(s.cfg.Prefix, quorumSpace)
	n.sender.every = 0         // and sends no copies
	n.inline = &inlineSender{} // a quorum asks each node in a goroutine of its own, and minds how long it takes
	return node{n}
}

// cast makes of c the acquire r as a vote.
func (b *voter) cast(c *command, s *Engine, r *engine.Request) *command {
	keys, id := s.keys.of(r.Name), ""
	if known := b.id.Load(); known != nil {
		id = *known
		if _, cluster := s.rdb.(masters); !cluster && !b.cluster.Load() {
			// A cluster has no one server for this key beside the lock's.
			keys = append(keys, nodeKey(s.cfg.Prefix))
		}
	}
	args := append(make([]any, 0, 13), r.Propose.Token, int(r.Propose.Kind), millis(s.cfg.Retention), id)
	return c.set(&voteScript, keys, s.appendAcquire(args, c, r)...)
}

// Status is described in package engine. A name that no lock can have is refused.
func (n node) Status(ctx context.Context, name string) (engine.Status, error) {
	if err := engine.CheckName(name); err != nil {
		return engine.Status{}, err
	}
	return n.Engine.Status(ctx, name)
}

// Acquire is described in package engine. What hides that it is a cluster, as an
// AutoPipeliner does, is found out by its refusal.
func (n node) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := n.Engine.Acquire(ctx, r)
	if err != nil && redis.HasErrorPrefix(err, "CROSSSLOT") && n.voter.cluster.CompareAndSwap(false, true) {
		return n.Engine.Acquire(ctx, r)
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
func (n node) Prefix() string { return n.cfg.Prefix }

// CallTimeout is that of the node's client.
func (n node) CallTimeout() time.Duration { return n.cfg.Call }

// Enrol is described in package engine.
func (n node) Enrol(ctx context.Context, id, membership string) (engine.Enrolment, error) {
	return n.enrol(ctx, id, membership)
}

// Trust is described in package engine.
func (n node) Trust(id string) { n.voter.id.Store(&id) }

func (s *Engine) enrol(ctx context.Context, id, membership string) (engine.Enrolment, error) {
	c := func() *command { return newCommand(&enrolScript, []any{nodeKey(s.cfg.Prefix)}, id, membership) }
	got := s.run(ctx, &request{make: c})
	if got.err != nil {
		return engine.Enrolment{}, got.err
	}
	rd := readReply(got.val)
	return engine.Enrolment{ID: rd.string(), Membership: rd.string()}, rd.err
}

// ServerID returns the id that the server keeps, the same for all its clients.
func (s *Engine) ServerID(ctx context.Context) (string, error) {
	e, err := s.enrol(ctx, engine.NewID(), "")
	return e.ID, err
}
