package redisengine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Bounds of the copies of requests.
const (
	// copiesACall is how many copies of a request a call timeout has time for: as
	// many dead connections, and a few, may a pool have and the call be answered.
	copiesACall = 12
	// copyLeast is how soon a copy leaves at the soonest.
	copyLeast = 50 * time.Millisecond
	// copyLatest is for how long copies leave: one that left later could be executed
	// when the tombstone of its request is gone.
	copyLatest = engine.TombstoneLife / 2
	// maxCopies bounds the copies of one request, and spareCopies those that a client
	// has under way: a server that stalls is asked no more than that in vain.
	maxCopies   = 10
	spareCopies = 32
)

// A sender sends requests once each, and again while there is no answer: what
// hangs may be a connection that a router in between has forgotten, of which
// neither end is told, and another connection works. go-redis finds out by its
// read timeout, one connection after the other, which for a pool of them is longer
// than a lease. (Hedged requests: Dean and Barroso, "The tail at scale".)
//
// A copy is the same request by the same hold id, so the server counts it once. It
// leaves on a connection of its own, while the ones before are still waited for:
// the first answer is the request's. The others may be executed whenever their
// connection lets them, so each copy counts as an acquire under way until it is
// answered itself: [engine.Request.Copies].
//
// This stands in the engine of one deployment and not above the seam, since a
// RedLock has its copies already: a node that does not answer costs it nothing, and
// its requests to one node are to keep their order. Its nodes send no copies.
type sender struct {
	rdb   *boundedClient
	every time.Duration // between copies; 0: there are none
	under atomic.Int32  // copies under way
	usual atomic.Int64  // nanoseconds that answers take, lately
}

func newSender(rdb Client, call time.Duration) *sender {
	return &sender{rdb: newBoundedClient(rdb, call, false), every: max(call/copiesACall, copyLeast)}
}

// transmission is what a request sends: a command, several, one with its WAIT, or
// an item of a dispatcher.
type transmission interface {
	// launch sends it once, for f.
	launch(ctx context.Context, s *sender, f *flight, landed func())
	// hangs tells whether any of it was written to a connection, and the server had
	// the time that it may take itself.
	hangs() bool
	// recall takes it out of where it waits to be sent, and tells whether it did: it
	// does not land then.
	recall() bool
	// bar keeps it from leaving where it has not left yet. It tells whether it may
	// have. It lands all the same.
	bar() bool
}

// transmitter is a transmission that has a goroutine of its own.
type transmitter interface {
	transmission
	// transmit sends it once. Its error is that of [engine.Engine]'s methods.
	transmit(ctx context.Context, rdb Client) (any, error)
}

// launchAlone sends t in a goroutine of its own.
func launchAlone(ctx context.Context, s *sender, f *flight, t transmitter, landed func()) {
	sent := time.Now()
	go func() {
		if landed != nil {
			defer landed()
		}
		val, err := t.transmit(ctx, s.rdb.client())
		f.land(t, outcome{val: val, err: err, sent: sent})
	}()
}

func (c *command) launch(ctx context.Context, s *sender, f *flight, landed func()) {
	launchAlone(ctx, s, f, c, landed)
}

func (c *command) hangs() bool { return c.written() }

func (c *command) recall() bool { return false }

func (c *command) bar() bool { return c.last.bar() }

func (c *command) transmit(ctx context.Context, rdb Client) (any, error) {
	val, err := c.process(ctx, rdb)
	return val, c.fault(rdb, err)
}

// outcome is what came of a request.
type outcome struct {
	val    any
	err    error
	sent   time.Time // when the copy left that was answered
	copies int       // that have left by then
}

// again makes a copy of a request, as of now. It returns the requests in it that
// may take effect late.
type again func() (transmission, []*engine.Request)

// send returns what came of t, which is the first copy of f, by the end of ctx, which
// ends once its caller has the outcome: what has not left by then does not leave.
func (s *sender) send(ctx context.Context, f *flight, t transmission, copied again) outcome {
	began := time.Now()
	f.join(t, nil)
	t.launch(ctx, s, f, nil)
	e := newEnd(ctx)
	if s.every > 0 && copied != nil {
		e.set(s.patience())
	}
	defer e.stop()
	for n := 0; ; {
		select {
		case <-f.decided:
			return s.landed(f)
		case <-e.other:
		case <-e.itself:
		case <-e.due():
		}
		if ctx.Err() != nil {
			return f.abandon(engine.ContextError(ctx))
		}
		if s.launchCopy(ctx, f, copied) {
			n++
		}
		if n < maxCopies && time.Since(began) < copyLatest {
			e.set(s.every)
		} else {
			e.set(never)
		}
	}
}

// patience is how long a request is waited for before its first copy leaves: not
// for less than twice what answers take, as those of a server that is far or busy,
// but not for so long that one slow answer leaves a call no time for copies.
func (s *sender) patience() time.Duration {
	return max(s.every, min(2*time.Duration(s.usual.Load()), 3*s.every))
}

// stuckAfter is when a pipeline without an answer does not count any more.
func (s *sender) stuckAfter() time.Duration {
	return max(stuckLeast, min(s.patience(), 4*time.Duration(s.usual.Load())))
}

func (s *sender) landed(f *flight) outcome {
	got := f.result()
	if took := int64(time.Since(got.sent)); !engine.Unanswered(got.err) {
		s.usual.Store(max(took, (s.usual.Load()+took)/2)) // slow at once, and fast after some
	}
	return got
}

// launchCopy sends a copy, and tells whether it did.
func (s *sender) launchCopy(ctx context.Context, f *flight, copied again) bool {
	if !f.hangs() {
		return false
	}
	t, carried := copied()
	if s.under.Add(1) > spareCopies || !f.join(t, carried) {
		s.under.Add(-1)
		return false
	}
	t.launch(ctx, s, f, func() { s.under.Add(-1) })
	return true
}

// A flight is one request, in as many copies as it takes.
//
// Whoever sends a request counts one for it as under way, until it has an outcome
// that is certain. So the flight counts the others: one for each copy beside the
// first, less one for each that has landed for certain (answered, or never sent)
// and is not the outcome. What is counted in all is then what may come late.
type flight struct {
	mu      sync.Mutex
	copies  int
	under   []transmission    // copies that have not landed
	over    bool              // it has its outcome
	best    *outcome          // so far
	carried []*engine.Request // in each copy
	decided chan struct{}     // closed when over, unless abandoned
	first   item              // of a dispatcher
	room    [1]transmission   // for under
}

// hangs tells whether all copies under way do. One that has not left yet waits for
// a connection: another would wait behind it.
func (f *flight) hangs() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(f.under, func(t transmission) bool { return !t.hangs() })
}

// join lets one more copy leave, with rs in it, unless the flight has its outcome.
func (f *flight) join(t transmission, rs []*engine.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	if f.copies++; f.under == nil {
		f.under = f.room[:0]
	}
	f.under = append(f.under, t)
	f.carried = rs
	f.count(1)
	return true
}

// count needs f.mu.
func (f *flight) count(n int32) {
	for _, r := range f.carried {
		if r.Copies != nil {
			r.Copies.Add(n)
		}
	}
}

// land takes what came of one copy. An answer is the outcome. A connection that
// breaks says nothing of the other copies: they are waited for.
func (f *flight) land(t transmission, got outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under = slices.DeleteFunc(f.under, func(one transmission) bool { return one == t })
	certain := !errors.Is(got.err, engine.ErrUnknown)
	if f.over {
		if certain {
			f.count(-1)
		}
		return
	}
	switch {
	case !engine.Unanswered(got.err):
		f.supersede()
		f.best, f.over = &got, true
	case f.best == nil:
		f.best = &got
	case certain:
		f.count(-1)
	default: // that it may take effect is more than that one before did not leave
		f.supersede()
		f.best = &got
	}
	if f.over = f.over || len(f.under) == 0; f.over {
		f.recall()
		f.best.copies = f.copies
		close(f.decided)
	}
}

// supersede counts for itself what was the outcome so far. It needs f.mu.
func (f *flight) supersede() {
	if f.best != nil && !errors.Is(f.best.err, engine.ErrUnknown) {
		f.count(-1)
	}
}

// recall takes back the copies that wait to be sent. It needs f.mu.
func (f *flight) recall() {
	f.under = slices.DeleteFunc(f.under, func(t transmission) bool {
		recalled := t.recall()
		if recalled {
			f.count(-1)
		}
		return recalled
	})
}

func (f *flight) result() outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.best
}

// abandon ends a flight that is waited for no longer. What of it has not left does
// not leave any more: if nothing has, it has no effect.
func (f *flight) abandon(why error) outcome {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return f.result()
	}
	defer f.mu.Unlock()
	f.supersede()
	f.over = true
	f.recall()
	uncertain := f.best != nil && errors.Is(f.best.err, engine.ErrUnknown)
	for _, t := range f.under {
		uncertain = t.bar() || uncertain
	}
	if !uncertain {
		f.count(1) // nobody counts one for it
		return outcome{err: fmt.Errorf("%w: %w", engine.ErrUnsent, why), copies: f.copies}
	}
	return outcome{err: fmt.Errorf("%w: %w", engine.ErrUnknown, why), copies: f.copies}
}
