package work

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/faults/history"
)

// The orders that a worker obeys, and what it says, a line each.
const (
	OrderStay   = "stay"   // the next section announces itself inside and stays
	OrderGo     = "go"     // it goes on
	OrderFinish = "finish" // no further sections

	SaysReady  = "ready"
	SaysInside = "inside" // then the lock's name
	SaysDone   = "done"
	SaysLeak   = "leak" // goroutines are left; what follows is their stacks, quoted
)

var errOrphan = errors.New("the parent process is gone")

type worker struct {
	job   Job
	rec   *history.Recorder
	locks *Locks
	guard *relock.Guard
	store *redis.Client
	out   *lineWriter

	stay      atomic.Bool
	resumed   chan struct{} // a buffer of one
	finishing atomic.Bool
	holds     atomic.Int64
}

// lineWriter lets one line out at a time.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) say(words ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, strings.Join(words, " "))
}

// Work is a worker's life: it reads its job and its orders from in, and tells
// what it does on out. It returns once it was told to finish and has; what is
// left then, it says.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	redis.SetLogger(&logging.VoidLogger{})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return errOrphan
	}
	w := &worker{out: &lineWriter{w: out}, resumed: make(chan struct{}, 1)}
	if err := json.Unmarshal(lines.Bytes(), &w.job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	orders := make(chan string)
	go func() {
		defer close(orders)
		for lines.Scan() {
			orders <- lines.Text()
		}
	}()
	baseline := runtime.NumGoroutine()
	if err := w.open(); err != nil {
		return err
	}
	w.out.say(SaysReady)
	if err := w.obey(ctx, orders); err != nil {
		return err
	}
	w.close()
	w.sayLeaks(baseline)
	w.out.say(SaysDone)
	return w.rec.Close()
}

func (w *worker) open() (err error) {
	if w.rec, err = history.Create(w.job.File); err != nil {
		return err
	}
	if w.locks, err = w.job.Open(); err != nil {
		return err
	}
	w.store = redis.NewClient(&redis.Options{
		Addr: w.job.Store, Dialer: w.job.dial, DialTimeout: dialTimeout,
		MaxRetries: -1, ContextTimeoutEnabled: true, PoolSize: 32,
	})
	w.guard = relock.NewGuard(w.store, relock.WithCallTimeout(w.job.Call))
	return nil
}

func (w *worker) close() {
	w.locks.Close()
	_ = w.store.Close()
}

// obey returns nil once every actor has finished.
func (w *worker) obey(ctx context.Context, orders <-chan string) error {
	over := make(chan struct{})
	go w.act(ctx, over)
	for {
		select {
		case order, ok := <-orders:
			switch {
			case !ok:
				return errOrphan
			case order == OrderStay:
				w.stay.Store(true)
			case order == OrderGo:
				select {
				case w.resumed <- struct{}{}:
				default:
				}
			case order == OrderFinish:
				w.finishing.Store(true)
			}
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *worker) act(ctx context.Context, over chan<- struct{}) {
	var all sync.WaitGroup
	for i := range w.job.Actors {
		all.Go(func() {
			a := &actor{worker: w, index: i, rng: rand.New(rand.NewPCG(w.job.Seed, uint64(w.job.Worker)<<32|uint64(i)))}
			a.run(ctx)
		})
	}
	all.Wait()
	close(over)
}

// leakPatience is how long the last goroutines may take: go-redis waits for
// reads of its own that a fault has left hanging.
const leakPatience = 15 * time.Second

// sayLeaks waits until the goroutines are those of the start.
func (w *worker) sayLeaks(baseline int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(leakPatience)
	for runtime.NumGoroutine() > baseline {
		select {
		case <-tick.C:
		case <-late:
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			w.out.say(SaysLeak, fmt.Sprintf("%q", stacks))
			return
		}
	}
}
