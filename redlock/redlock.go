package redlock

import (
	"context"
	"sync"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
)

// A RedLock makes locks that a quorum of independent Redis servers keeps. It is
// safe for concurrent use; one is enough for a process.
type RedLock struct {
	q     *quorum
	locks *relock.Client
}

// New returns a RedLock on the servers of clients, one node each. It does no
// I/O. The TTL, check interval, logger and tracers of its locks are those of the
// first client; each node is asked within the call timeout of its own, and keeps
// its fence for the retention of its own. Close it before its clients.
//
// Two nodes are allowed, and tolerate the loss of none: both are a quorum.
//
// It returns [relock.ErrInvalid] for no clients, a nil client, a client or an
// address that is given twice, prefixes that differ, an option that is nil or out
// of range, and a quorum that is no majority or more than the nodes. That two
// addresses are one server, that the list differs from the one other processes
// use, and that a server has lost its data is found at first use.
func New(clients []*relock.Client, opts ...Option) (*RedLock, error) {
	set := settings{quorum: majority(len(clients))}
	for _, o := range opts {
		if o == nil {
			set.fail("a nil Option")
			continue
		}
		o(&set)
	}
	nodes, err := nodesOf(clients)
	switch {
	case err != nil:
		return nil, err
	case set.err != nil:
		return nil, set.err
	case set.quorum < majority(len(clients)) || set.quorum > len(clients):
		return nil, invalid("WithQuorum(%d): of %d nodes it must be between %d and %d",
			set.quorum, len(clients), majority(len(clients)), len(clients))
	}
	q := newQuorum(nodes, set)
	return &RedLock{q, access.NewQuorum(q, clients[0]).(*relock.Client)}, nil
}

func nodesOf(clients []*relock.Client) ([]engine.Node, error) {
	if len(clients) == 0 {
		return nil, invalid("a RedLock needs clients")
	}
	seen := map[*relock.Client]int{}
	addrs := map[string]int{}
	var nodes []engine.Node
	for i, c := range clients {
		if c == nil {
			return nil, invalid("client %d is nil", i)
		}
		if j, twice := seen[c]; twice {
			return nil, invalid("clients %d and %d are the same", j, i)
		}
		seen[c] = i
		server := access.Client(c).Redis
		if server == nil {
			return nil, invalid("client %d is no client of a server", i)
		}
		n := server.AsNode(engine.NewID())
		if j, twice := addrs[n.Addr()]; twice {
			return nil, invalid("clients %d and %d have the same server %s", j, i, n.Addr())
		}
		addrs[n.Addr()] = i
		if i > 0 && n.Prefix() != nodes[0].Prefix() {
			return nil, invalid("clients 0 and %d have prefixes %q and %q: one lock needs one", i, nodes[0].Prefix(), n.Prefix())
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// Close ends the RedLock as [relock.Client.Close] ends a client. The clients
// stay open.
func (r *RedLock) Close() error { return r.locks.Close() }

// Stats returns what the RedLock's locks have come to: a lock on a quorum counts
// once, here, and not at the clients of its nodes.
func (r *RedLock) Stats() relock.Stats { return r.locks.Stats() }

// A Mutex is a lock on a quorum that its holder does not re-enter. Its methods
// are those of [relock.Mutex]; *relock.QuorumError is returned where too few
// nodes answered.
type Mutex struct {
	*relock.Mutex
	nodes
}

// A Reentrant is a lock on a quorum that one owner may hold several times. Its
// methods are those of [relock.Reentrant]; but a further hold may have a greater
// token than those before it (see Tokens above): guard with the latest lease's.
type Reentrant struct {
	*relock.Reentrant
	nodes
}

var (
	_ relock.Locker = (*Mutex)(nil)
	_ relock.Locker = (*Reentrant)(nil)
)

// Mutex returns the lock of that name. It does no I/O; an error in name or opts
// is returned by every call.
func (r *RedLock) Mutex(name string, opts ...relock.LockOption) *Mutex {
	return &Mutex{r.locks.Mutex(name, opts...), nodes{r.q, name}}
}

// Reentrant returns the lock of that name. The Mutex and the Reentrant of one
// name are one lock.
func (r *RedLock) Reentrant(name string, opts ...relock.LockOption) *Reentrant {
	return &Reentrant{r.locks.Reentrant(name, opts...), nodes{r.q, name}}
}

// nodes is what both kinds have beside relock's methods.
type nodes struct {
	q    *quorum
	name string
}

// NodeStatus is what one node says of a lock.
type NodeStatus struct {
	Addr string
	relock.Status
	Err error // why it said nothing
}

// NodeStatus asks every node who holds the lock, and returns their answers in
// the order in which the clients were given. A node is waited for no longer than
// the node timeout. Of the options' errors it tells none.
func (n nodes) NodeStatus(ctx context.Context) []NodeStatus {
	var mu sync.Mutex
	all := make([]NodeStatus, len(n.q.peers))
	_ = n.q.each(ctx, func(ctx context.Context, p *peer) error {
		st, err := p.node.Status(ctx, n.name)
		mu.Lock()
		defer mu.Unlock()
		all[p.index] = NodeStatus{Addr: p.addr, Err: err, Status: relock.Status{
			Held: st.Held, Owner: relock.Owner(st.Owner), Count: st.Count, Token: relock.Token(st.Token),
			TTL: st.Left, Waiters: st.Waiters,
		}}
		if st.Held {
			all[p.index].Since = time.Now().Add(-st.Age)
		}
		return err
	}, func() bool { return false })
	return all
}

func init() {
	access.NoOrder = func(lock any) string {
		switch lock.(type) {
		case *MultiLock:
			return "the token of a MultiLock is 0"
		case *Reentrant:
			return "the holds of one owner of a Reentrant may have one token"
		}
		return ""
	}
	access.QuorumInspector = func(redLock any) engine.Inspector { return redLock.(*RedLock).q }
}
