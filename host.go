package relock

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// buryFor is how long a given-up hold is refused: longer than a request can
// live in a network and in the buffers of two machines.
const buryFor = time.Minute

// A host runs the life of locks over one engine: waiting, leases, the watchdog
// and loss. Every lock kind lives on one.
type host struct {
	eng    engine.Engine
	id     string // begins the id of each of its holds
	set    settings
	epoch  time.Time
	seq    atomic.Uint64
	dog    watchdog
	counts counts

	open   context.Context // ends when close begins
	shut   context.CancelFunc
	bg     context.Context // ends when close has waited long enough
	cancel context.CancelFunc

	mu      sync.Mutex
	lines   map[string]*line
	holds   map[string]*hold       // by id: who waits, and who holds
	waiting int                    // of those, who wait
	holding int                    // of those, who hold
	tasks   int                    // goroutines in the background
	ends    map[string]*time.Timer // of the minimums of holds that were given back, by id
	closed  bool
	drained chan struct{} // closed when closed, and holds and tasks are none
}

func newHost(eng engine.Engine, id string, set settings) *host {
	h := &host{
		eng: eng, id: id, set: set, epoch: time.Now(),
		lines:   map[string]*line{},
		holds:   map[string]*hold{},
		ends:    map[string]*time.Timer{},
		drained: make(chan struct{}),
	}
	h.open, h.shut = context.WithCancel(context.Background())
	h.bg, h.cancel = context.WithCancel(context.Background())
	h.dog.host = h
	eng.Start(h)
	return h
}

// clock is the monotonic time since the host was made.
func (h *host) clock() int64 { return int64(time.Since(h.epoch)) }

func (h *host) newID() string {
	return h.id + "." + strconv.FormatUint(h.seq.Add(1), 36)
}

// wrap adds which lock it was about.
func (l *lock) wrap(err error) error {
	if err == nil {
		return nil
	}
	if _, named := err.(*NotAcquiredError); named {
		return err
	}
	return fmt.Errorf("%w (lock %q)", err, l.name)
}

// once sends one request, bounded by the call timeout.
func (h *host) once(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.set.call)
	defer cancel()
	return send(ctx)
}

// onceOpen is once for a call that waits for a lock, which close cuts short.
func (h *host) onceOpen(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.open, cancel)()
	return h.once(ctx, send)
}

// ask sends a request that waits for nothing until it is answered, for no
// longer than the call timeout altogether.
func (h *host) ask(ctx context.Context, send func(context.Context) error) error {
	return h.once(ctx, func(bounded context.Context) error {
		var err error
		for n := 0; ; n++ {
			err = telling(bounded, err, send(bounded))
			if err == nil || !passes(err) || !engine.Sleep(bounded, engine.Pause(n)) {
				if err != nil && ctx.Err() != nil {
					return fmt.Errorf("%w: %w", ended(ctx), err)
				}
				return err
			}
		}
	})
}

// spawn runs f in the background; close waits for it.
func (h *host) spawn(f func(ctx context.Context)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spawnLocked(f)
}

// spawnLocked needs h.mu.
func (h *host) spawnLocked(f func(ctx context.Context)) {
	h.tasks++
	go func() {
		defer h.taskDone()
		f(h.bg)
	}()
}

// left ends the task that leave began: what remained to be done is done, or a
// task of its own. Until then the host knows the hold, so that a message about
// it that is late is not taken for a grant to nobody.
func (h *host) left(o *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.holds, o.req.Hold)
	h.tasks--
	h.checkDrained()
}

func (h *host) taskDone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks--
	h.checkDrained()
}

// checkDrained needs h.mu.
func (h *host) checkDrained() {
	if h.closed && h.tasks == 0 && len(h.holds) == 0 {
		select {
		case <-h.drained:
		default:
			close(h.drained)
		}
	}
}

// close is argued by its order: no hold can enter once closed is set; waiters
// withdraw themselves when open ends, and wait for no answer any more; leases end
// before they are released, so that nobody believes in a lock that is on its way
// back.
func (h *host) close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		<-h.bg.Done()
		return nil
	}
	h.closed = true
	h.shut()
	h.dropEnds()
	var leases []*hold
	for _, o := range h.holds {
		switch {
		case o.stage == held:
			leases = append(leases, o)
		case o.stage == asking && o.interrupt != nil:
			o.interrupt()
		}
	}
	h.mu.Unlock()
	for _, o := range leases {
		if o.end(ErrClosed) {
			h.counts.closed.Add(1)
		}
		h.dog.forget(o)
	}
	h.releaseAll(leases)

	h.mu.Lock()
	h.checkDrained()
	h.mu.Unlock()
	timeout := time.NewTimer(h.set.call)
	defer timeout.Stop()
	var err error
	select {
	case <-h.drained:
	case <-timeout.C:
		h.mu.Lock()
		err = fmt.Errorf("relock: close: %d requests not answered within %v; what they release expires by its TTL", h.tasks, h.set.call)
		h.mu.Unlock()
	}
	h.cancel()
	h.dog.stop()
	h.eng.Close()
	return err
}

// releaseAll gives the holds back, some at a time.
func (h *host) releaseAll(leases []*hold) {
	const lanes = 16
	for lane := range min(lanes, len(leases)) {
		h.spawn(func(ctx context.Context) {
			for i := lane; i < len(leases); i += lanes {
				o := leases[i]
				traced, told := h.set.trace.givesBack(ctx, o)
				h.leave(o)
				h.withdraw(traced, o, nil, o.validUntil())
				told(ErrClosed)
				h.left(o)
			}
		})
	}
}
