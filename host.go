package relock

import (
	"context"
	"errors"
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
	owed    map[*hold]debt         // what is to be given back in the background, and was not yet
	ends    map[string]*time.Timer // what is to be sent at the end of a hold, by its id
	closed  bool
	drained chan struct{} // closed when closed, and holds and tasks are none
}

func newHost(eng engine.Engine, id string, set settings) *host {
	h := &host{
		eng: eng, id: id, set: set, epoch: time.Now(),
		lines:   map[string]*line{},
		holds:   map[string]*hold{},
		owed:    map[*hold]debt{},
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
// longer than the call timeout altogether. Where nothing can be sent that is the
// answer: who asks for nothing but this may ask again.
func (h *host) ask(ctx context.Context, send func(context.Context) error) error {
	return h.askUnless(ctx, func(err error) bool { return errors.Is(err, engine.ErrUnsent) }, send)
}

// insist is ask for a holder, whose request is worth waiting for a connection.
func (h *host) insist(ctx context.Context, send func(context.Context) error) error {
	return h.askUnless(ctx, denied, send)
}

// askUnless asks again what passes, unless it is final.
func (h *host) askUnless(ctx context.Context, final func(error) bool, send func(context.Context) error) error {
	return h.once(ctx, func(bounded context.Context) error {
		began := time.Now()
		var err error
		for n := 0; ; n++ {
			err = telling(bounded, err, soFar(err, send(bounded)))
			if err == nil || !passes(err) || final(err) || !engine.Sleep(bounded, engine.Pause(n)) {
				err = h.outlasted(err, time.Since(began))
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
