package behaviour

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
)

// InMemory is the Mutex on an engine that is no Redis: what keeps its locks is this
// file. It shows that the seam is all that the life of a lock needs. Minimums and
// replicas it has none.
func InMemory() Kind {
	return Kind{"Mutex", func(t *testing.T) World {
		server := &memory{locks: map[string]*memoryLock{}, tombstones: map[string]bool{}}
		return World{
			Spawn: func() Process {
				made, err := access.NewClient(func(access.Settings) engine.Engine { return &memoryEngine{server: server} }, nil)
				if err != nil {
					t.Fatal(err)
				}
				c := made.(*relock.Client)
				t.Cleanup(func() { mustClose(t, c) })
				return Process{
					Lock:  func(name string, opts ...relock.LockOption) relock.Locker { return c.Mutex(name, opts...) },
					Close: c.Close,
				}
			},
			Look: func(_ context.Context, name string) (waiters []string, held bool, _ error) {
				server.mu.Lock()
				defer server.mu.Unlock()
				l := server.lock(name)
				for _, w := range l.queue {
					waiters = append(waiters, w.hold)
				}
				return waiters, len(l.holds) > 0, nil
			},
		}
	}}
}

// memory is the server of all processes of a world.
type memory struct {
	mu         sync.Mutex
	locks      map[string]*memoryLock
	tombstones map[string]bool // holds that were given up
	token      int64
}

type memoryLock struct {
	owner string
	token int64
	since time.Time
	holds map[string]time.Time // when each ends
	queue []*memoryWaiter      // by arrival
}

type memoryWaiter struct {
	name, hold, owner string
	ttl, life         time.Duration
	arrived, seen     time.Time
	sink              engine.Sink
}

// lock returns a lock, without the holds that have ended and the waiters that have
// died. It needs s.mu.
func (s *memory) lock(name string) *memoryLock {
	l := s.locks[name]
	if l == nil {
		l = &memoryLock{holds: map[string]time.Time{}}
		s.locks[name] = l
	}
	now := time.Now()
	for id, end := range l.holds {
		if !now.Before(end) {
			delete(l.holds, id)
		}
	}
	l.queue = slices.DeleteFunc(l.queue, func(w *memoryWaiter) bool { return now.Sub(w.seen) > w.life })
	return l
}

// left is the time until the last hold ends.
func (l *memoryLock) left() (left time.Duration) {
	for _, end := range l.holds {
		left = max(left, time.Until(end))
	}
	return left
}

// give makes a waiter or a caller the holder. It needs s.mu.
func (s *memory) give(l *memoryLock, hold, owner string, d time.Duration) {
	if len(l.holds) == 0 {
		s.token++
		l.owner, l.token, l.since = owner, s.token, time.Now()
	}
	l.holds[hold] = time.Now().Add(d)
	l.queue = slices.DeleteFunc(l.queue, func(w *memoryWaiter) bool { return w.hold == hold })
}

// passOn gives a free lock to the first who waits. It needs s.mu.
func (s *memory) passOn(l *memoryLock) *memoryWaiter {
	if len(l.holds) > 0 || len(l.queue) == 0 {
		return nil
	}
	w := l.queue[0]
	left := min(w.ttl, w.life) // until its first renewal
	s.give(l, w.hold, w.owner, left)
	m := engine.Message{Name: w.name, Hold: w.hold, Token: l.token, Left: left}
	go w.sink.Deliver(m)
	return w
}

// join puts r into the queue, at the place of its arrival. It needs s.mu.
func (s *memory) join(l *memoryLock, r *engine.Request, sink engine.Sink) {
	for _, w := range l.queue {
		if w.hold == r.Hold {
			w.seen = time.Now()
			return
		}
	}
	w := &memoryWaiter{r.Name, r.Hold, r.Owner, r.TTL, r.Life, r.Arrived, time.Now(), sink}
	at, _ := slices.BinarySearchFunc(l.queue, w, func(a, b *memoryWaiter) int {
		return cmp.Or(a.arrived.Compare(b.arrived), -1) // behind those of the same instant
	})
	l.queue = slices.Insert(l.queue, at, w)
}

// acquire answers one request. It needs s.mu.
func (s *memory) acquire(r *engine.Request, sink engine.Sink) engine.Answer {
	now, l := time.Now(), s.lock(r.Name)
	if s.tombstones[r.Hold] {
		return engine.Answer{State: engine.Withdrawn, Sent: now}
	}
	first := len(l.queue) == 0 || l.queue[0].hold == r.Hold
	switch _, mine := l.holds[r.Hold]; {
	case mine, len(l.holds) == 0 && first, len(l.holds) > 0 && l.owner == r.Owner:
		s.give(l, r.Hold, r.Owner, r.TTL)
		return engine.Answer{State: engine.Granted, Token: l.token, Count: len(l.holds), Left: r.TTL, Sent: now}
	}
	ans := engine.Answer{
		State: engine.Taken, Token: l.token, Owner: l.owner, Left: l.left(), Age: now.Sub(l.since), Place: len(l.queue), Sent: now,
	}
	if !r.Wait {
		return ans
	}
	s.join(l, r, sink)
	ans.State = engine.Waiting
	ans.Place = slices.IndexFunc(l.queue, func(w *memoryWaiter) bool { return w.hold == r.Hold })
	s.passOn(l) // to another that is before it, if the lock is free
	return ans
}

// release answers one release. It needs s.mu.
func (s *memory) release(r *engine.Release, sink engine.Sink) engine.Released {
	l := s.lock(r.Name)
	if r.Bury {
		s.tombstones[r.Hold] = true
	}
	if r.Leave {
		return engine.Released{}
	}
	_, held := l.holds[r.Hold]
	held = held && (r.Token == 0 || r.Token == l.token)
	queued := slices.ContainsFunc(l.queue, func(w *memoryWaiter) bool { return w.hold == r.Hold })
	if held {
		delete(l.holds, r.Hold)
	}
	l.queue = slices.DeleteFunc(l.queue, func(w *memoryWaiter) bool { return w.hold == r.Hold })
	rel := engine.Released{Gone: !held && !queued}
	if r.Next != nil && !rel.Gone {
		rel.Next = s.acquire(r.Next, sink)
	}
	s.passOn(l)
	return rel
}

// memoryEngine is one process's way to the server.
type memoryEngine struct {
	server *memory
	sink   engine.Sink
}

var _ engine.Engine = (*memoryEngine)(nil)

// ask runs f on the server, unless ctx is over.
func (e *memoryEngine) ask(ctx context.Context, f func(*memory)) error {
	if err := ctx.Err(); err != nil {
		return engine.ErrUnsent
	}
	e.server.mu.Lock()
	defer e.server.mu.Unlock()
	f(e.server)
	return nil
}

// Acquire is described in [engine.Engine].
func (e *memoryEngine) Acquire(ctx context.Context, r *engine.Request) (ans engine.Answer, err error) {
	err = e.ask(ctx, func(s *memory) { ans = s.acquire(r, e.sink) })
	return ans, err
}

// Renew is described in [engine.Engine].
func (e *memoryEngine) Renew(ctx context.Context, r *engine.Renewal) (ans engine.Answer, err error) {
	err = e.ask(ctx, func(s *memory) {
		l := s.lock(r.Name)
		if end, held := l.holds[r.Hold]; held && r.Token == l.token {
			l.holds[r.Hold] = time.Now().Add(max(r.TTL, time.Until(end)))
			ans = engine.Answer{State: engine.Granted, Token: l.token, Count: len(l.holds), Left: time.Until(l.holds[r.Hold])}
		}
		ans.Sent = time.Now()
	})
	return ans, err
}

// Release is described in [engine.Engine].
func (e *memoryEngine) Release(ctx context.Context, r *engine.Release) (rel engine.Released, err error) {
	err = e.ask(ctx, func(s *memory) { rel = s.release(r, e.sink) })
	return rel, err
}

// Pulse is described in [engine.Engine].
func (e *memoryEngine) Pulse(ctx context.Context, batch []engine.Pulse) {
	go func() {
		for _, p := range batch {
			switch {
			case p.CheckIn != nil:
				p.Done(e.Acquire(ctx, p.CheckIn))
			case p.Renew != nil:
				p.Done(e.Renew(ctx, p.Renew))
			default:
				_, err := e.Release(ctx, p.Release)
				p.Done(engine.Answer{}, err)
			}
		}
	}()
}

// Force is described in [engine.Engine].
func (e *memoryEngine) Force(ctx context.Context, name string, token int64) (freed bool, err error) {
	err = e.ask(ctx, func(s *memory) {
		if l := s.lock(name); len(l.holds) > 0 && l.token == token {
			freed = true
			clear(l.holds)
			s.passOn(l)
		}
	})
	return freed, err
}

// Status is described in [engine.Engine].
func (e *memoryEngine) Status(ctx context.Context, name string) (st engine.Status, err error) {
	err = e.ask(ctx, func(s *memory) {
		l := s.lock(name)
		if st.Waiters = len(l.queue); len(l.holds) > 0 {
			st = engine.Status{
				Held: true, Owner: l.owner, Count: len(l.holds), Token: l.token, Left: l.left(), Age: time.Since(l.since), Waiters: st.Waiters,
			}
		}
	})
	return st, err
}

// Start is described in [engine.Engine].
func (e *memoryEngine) Start(sink engine.Sink) { e.sink = sink }

// Listening is described in [engine.Engine]: every grant is heard.
func (e *memoryEngine) Listening() bool { return true }

// Listen is described in [engine.Engine].
func (e *memoryEngine) Listen(context.Context) error { return nil }

// Deaf is described in [engine.Engine].
func (e *memoryEngine) Deaf() bool { return false }

// SupportsReplicas is described in [engine.Engine].
func (e *memoryEngine) SupportsReplicas() error { return engine.Invalid("there are no replicas") }

// Close is described in [engine.Engine].
func (e *memoryEngine) Close() {}
