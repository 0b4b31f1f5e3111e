package relocktest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// A Server is an embedded Redis that belongs to one test. It has no socket: it
// is reached through [Server.Client] and [Server.Redis] alone. Its methods are
// safe for concurrent use; but those that may fail the test belong in the
// test's own goroutine, as Fatal does.
type Server struct {
	tb     testing.TB
	opts   []relock.Option
	memory *miniredis.Miniredis
	addr   string

	mu    sync.Mutex
	down  bool
	links map[*link]bool // the connections that are open
}

// New starts an embedded Redis for tb, and ends it and all its clients with tb.
// In a testing/synctest bubble give it the bubble's T.
//
// opts are those of every client of the server, and of the others that
// [Server.Take] and [Server.Lose] are: a WithPrefix belongs here.
func New(tb testing.TB, opts ...relock.Option) *Server {
	tb.Helper()
	memory, _ := redistest.EmbeddedInMemory(tb)
	return &Server{tb: tb, opts: opts, memory: memory, addr: newAddr(), links: map[*link]bool{}}
}

// Client returns a new client of connections of its own, as another process
// would have, with the options of New and opts. It is closed with the test. An
// option that [relock.New] refuses fails the test.
func (s *Server) Client(opts ...relock.Option) *relock.Client {
	s.tb.Helper()
	c, err := relock.New(s.Redis(), slices.Concat(s.opts, opts)...)
	if err != nil {
		s.tb.Fatalf("relocktest: %v", err)
	}
	s.tb.Cleanup(func() {
		s.Up() // else Close waits for answers that cannot come
		_ = c.Close()
	})
	return c
}

// Redis returns a new go-redis client of the server: for a [relock.Guard], for
// the data that a lock protects, or for [relock.New] in the code under test. It
// is closed with the test.
func (s *Server) Redis() *redis.Client {
	d := &dialler{server: s}
	rdb := redistest.InMemoryClient(s.memory, d.configure)
	s.tb.Cleanup(func() {
		_ = rdb.Close()
		d.settle()
	})
	return rdb
}

// Down makes the server unreachable until Up: its connections end, and new ones
// are refused. It keeps its data, whose time goes on. A lease that is held then
// ends at its ValidUntil, unless Up comes before.
//
// go-redis prints each refused connection; redis.SetLogger silences it.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for l := range s.links {
		l.sever()
	}
	clear(s.links)
}

// Up makes the server reachable again.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// Take makes another process the holder of the lock: until release is called, or
// the test ends. Its hold is renewed. It fails the test where the lock cannot be
// had at once.
func (s *Server) Take(name string) (release func()) {
	s.tb.Helper()
	return take(s.tb, s.Client().Mutex(name))
}

// Lose takes the lock away from lease, as an operator does by ForceUnlock, and
// has the lease learn of it: when Lose returns, its Err is [relock.ErrLost], its
// context has ended, and the lock is free or the next waiter's. Where its owner
// has further holds of the lock, they learn of it by their next renewal. It fails
// the test where the lease is not valid, or its hold is not on this server.
//
// Of a MultiLock's lease, take one of its Members: the whole ends with it, a
// moment later.
func (s *Server) Lose(lease *relock.Lease) {
	s.tb.Helper()
	lose(s.tb, s.Client().Mutex(lease.Name()), lease)
}

func take(tb testing.TB, l relock.Locker) (release func()) {
	tb.Helper()
	lease, err := l.TryLock(context.Background())
	if err != nil {
		tb.Fatalf("relocktest: Take: %v", err)
	}
	return sync.OnceFunc(func() {
		tb.Helper()
		// Whoever took it away from the other knows.
		if err := lease.Unlock(context.Background()); err != nil && !errors.Is(err, relock.ErrLost) {
			tb.Errorf("relocktest: release: %v", err)
		}
	})
}

// operator is what takes a lock away.
type operator interface {
	Status(ctx context.Context) (relock.Status, error)
	ForceUnlock(ctx context.Context) (bool, error)
}

func lose(tb testing.TB, l operator, lease *relock.Lease) {
	tb.Helper()
	ctx := context.Background()
	if err := lease.Err(); err != nil {
		tb.Fatalf("relocktest: Lose: the lease has ended: %v", err)
	}
	switch st, err := l.Status(ctx); {
	case err != nil:
		tb.Fatalf("relocktest: Lose: %v", err)
	case !st.Held || st.Owner != lease.Owner():
		tb.Fatalf("relocktest: Lose: lock %q is not held by this lease here (another server, or a prefix that New was not given?)", lease.Name())
	}
	if _, err := l.ForceUnlock(ctx); err != nil {
		tb.Fatalf("relocktest: Lose: %v", err)
	}
	// It asks the server now, and so learns what the next renewal would tell. One
	// whose WithMaxHold leaves no room for that is over within MinTTL.
	err := lease.Extend(ctx, relock.MinTTL)
	if errors.Is(err, relock.ErrInvalid) {
		<-lease.Context().Done()
	}
	if !errors.Is(lease.Err(), relock.ErrLost) {
		tb.Fatalf("relocktest: Lose: the lease lives on: %v", err)
	}
}
