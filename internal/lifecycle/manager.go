package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// A Manager runs the life of locks over one engine: waiting, leases, the watchdog
// and loss. Every lock kind lives on one.
type Manager struct {
	eng    engine.Engine
	id     string // begins the id of each of its holds
	cfg    Config
	epoch  time.Time
	seq    atomic.Uint64
	dog    watchdog
	counts counts

	open   context.Context // ends when close begins
	shut   context.CancelFunc
	bg     context.Context // ends when close has waited long enough
	cancel context.CancelFunc

	mu      sync.Mutex
	queues  map[string]*queue.Queue // by name: of those that somebody waits for, or holds
	holds   map[string]*Hold        // by id: who waits, and who holds
	waiting int                     // of those, who wait
	holding int                     // of those, who hold
	tasks   int                     // goroutines in the background
	owed    map[*Hold]debt          // what is to be given back in the background, and was not yet
	ends    map[string]*time.Timer  // what is to be sent at the end of a hold, by its id
	closed  bool
	drained chan struct{} // closed when closed, and holds and tasks are none
}

// New returns a Manager of the locks that eng keeps. id is its own: it begins the id
// of each of its holds.
func New(eng engine.Engine, id string, cfg Config) *Manager {
	m := &Manager{
		eng: eng, id: id, cfg: cfg, epoch: time.Now(),
		queues:  map[string]*queue.Queue{},
		holds:   map[string]*Hold{},
		owed:    map[*Hold]debt{},
		ends:    map[string]*time.Timer{},
		drained: make(chan struct{}),
	}
	m.open, m.shut = context.WithCancel(context.Background())
	m.bg, m.cancel = context.WithCancel(context.Background())
	m.dog.manager = m
	eng.Start(m)
	return m
}

// SupportsReplicas returns why replicas cannot be waited for, or nil.
func (m *Manager) SupportsReplicas() error { return m.eng.SupportsReplicas() }

// clock is the monotonic time since the manager was made.
func (m *Manager) clock() int64 { return int64(time.Since(m.epoch)) }

// newID returns the id of a new hold, and the owner that it has where no other is
// given: one text, of which the id is the end.
func (m *Manager) newID() (id, owner string) {
	var buf [128]byte
	text := append(buf[:0], engine.OwnerPrefix()...)
	from := len(text)
	text = append(append(text, m.id...), '.')
	owner = string(strconv.AppendUint(text, m.seq.Add(1), 36))
	return owner[from:], owner
}

// wrap adds which lock it was about.
func (l *Lock) wrap(err error) error {
	if err == nil || errors.Is(err, engine.ErrNotAcquired) {
		return err // which names the lock
	}
	return fmt.Errorf("%w (lock %q)", err, l.Name)
}

// once sends one request, bounded by the call timeout.
func (m *Manager) once(ctx context.Context, send func(context.Context) error) error {
	bounded := newBound(ctx, m.cfg.Call)
	defer bounded.cancel()
	return send(bounded)
}

// onceOpen is once for a call that waits for a lock, which close cuts short.
func (m *Manager) onceOpen(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.open, cancel)()
	return m.once(ctx, send)
}

// ask sends a request that waits for nothing until it is answered, for no
// longer than the call timeout altogether. Where nothing can be sent that is the
// answer: who asks for nothing but this may ask again.
func (m *Manager) ask(ctx context.Context, send func(context.Context) error) error {
	return m.askUnless(ctx, func(err error) bool { return errors.Is(err, engine.ErrUnsent) }, send)
}

// insist is ask for a holder, whose request is worth waiting for a connection.
func (m *Manager) insist(ctx context.Context, send func(context.Context) error) error {
	return m.askUnless(ctx, func(err error) bool { return engine.ClassOf(err) == engine.Denied }, send)
}

// askUnless asks again what passes, unless it is final.
func (m *Manager) askUnless(ctx context.Context, final func(error) bool, send func(context.Context) error) error {
	return m.once(ctx, func(bounded context.Context) error {
		began := time.Now()
		var err error
		err = retry(bounded, func() error {
			err = soFar(err, send(bounded))
			return err
		}, func(_ int, err error) bool { return !engine.IsTransient(err) || final(err) })
		err = m.outlasted(err, time.Since(began))
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("%w: %w", engine.ContextError(ctx), err)
		}
		return err
	})
}

// spawn runs f in the background; close waits for it.
func (m *Manager) spawn(f func(ctx context.Context)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spawnLocked(f)
}

// spawnLocked needs m.mu.
func (m *Manager) spawnLocked(f func(ctx context.Context)) {
	m.tasks++
	go func() {
		defer m.taskDone()
		f(m.bg)
	}()
}

func (m *Manager) taskDone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks--
	m.checkDrained()
}

// checkDrained needs m.mu.
func (m *Manager) checkDrained() {
	if m.closed && m.tasks == 0 && len(m.holds) == 0 {
		select {
		case <-m.drained:
		default:
			close(m.drained)
		}
	}
}
