package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/relock-go/relock"
)

// flushEvery is how long an event may wait in a worker.
const flushEvery = 20 * time.Millisecond

var errOrphan = errors.New("the parent process is gone")

// worker is one child process: goroutines that contend for the lock.
type worker struct {
	job    job
	rep    *reporter
	lock   *relock.Mutex
	ledger *ledger

	stay      atomic.Bool   // the next section stays inside until resumed
	resumed   chan struct{} // a buffer of one
	finishing atomic.Bool   // no further section
}

// Work is a worker's life: it reads its job and orders from in and tells events
// on out. It returns nil when it was ordered to finish and did, and an error
// when its input ended before that, with nothing given back: the lock's TTL is
// for that.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	redis.SetLogger(&logging.VoidLogger{})
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errOrphan
	}
	var j job
	if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	var used tally
	locks, data, err := used.clients(ctx, j)
	if err != nil {
		return err
	}
	defer locks.Close()
	defer data.Close()
	client, err := relock.New(locks, relock.WithTTL(time.Duration(j.TTLMillis)*time.Millisecond), relock.WithFenceRetention(keepFor))
	if err != nil {
		return err
	}
	w := &worker{
		job: j, rep: newReporter(j.Worker, out), lock: client.Mutex(lockName(j.Run)), ledger: newLedger(data, j.Run),
		resumed: make(chan struct{}, 1),
	}
	if err := w.rep.tellNow(event{Kind: ready}); err != nil {
		return err
	}
	if err := w.obey(ctx, ordersOf(lines)); err != nil {
		return err
	}
	if err := client.Close(); err != nil {
		w.rep.tell(event{Kind: failed, Text: err.Error()})
	}
	return w.rep.tellNow(event{Kind: done, Counts: used.counts()})
}

// ordersOf closes its channel at the end of the input.
func ordersOf(lines *bufio.Scanner) <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		for lines.Scan() {
			orders <- order(lines.Text())
		}
	}()
	return orders
}

// obey returns nil once every goroutine has finished.
func (w *worker) obey(ctx context.Context, orders <-chan order) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	over := make(chan struct{})
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				return errOrphan
			}
			switch o {
			case begin:
				go w.contend(ctx, over)
			case hold:
				w.stay.Store(true)
			case resume:
				w.resumed <- struct{}{}
			case finish:
				w.finishing.Store(true)
			}
		case <-flush.C:
			if err := w.rep.flush(); err != nil {
				return fmt.Errorf("%w: %w", errOrphan, err)
			}
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// contend runs the goroutines, and closes over when all have finished.
func (w *worker) contend(ctx context.Context, over chan<- struct{}) {
	var all sync.WaitGroup
	for g := 1; g <= w.job.Goroutines; g++ {
		all.Go(func() {
			for !w.finishing.Load() {
				if err := w.section(ctx, g); err != nil {
					w.rep.tell(event{Kind: failed, Goroutine: g, Text: err.Error()})
					return
				}
			}
		})
	}
	all.Wait()
	close(over)
}

// section is one turn: lock, read, change, write, unlock. It returns an error
// only where the lock was not had.
func (w *worker) section(ctx context.Context, goroutine int) error {
	arrived := time.Now()
	lease, err := w.lock.Lock(ctx)
	if err != nil {
		return err
	}
	e := event{Kind: acquired, Goroutine: goroutine, Token: int64(lease.Token()), At: time.Now().UnixNano()}
	e.Waited = int64(time.Since(arrived))
	w.rep.tell(e)

	e = event{Kind: released, Goroutine: goroutine, Token: e.Token}
	e.Amount, err = w.update(ctx, goroutine, lease)
	switch {
	case errors.Is(err, relock.ErrStaleToken):
		w.rep.tell(event{Kind: refused, Goroutine: goroutine, Token: e.Token, Text: err.Error()})
	case err != nil:
		w.rep.tell(event{Kind: failed, Goroutine: goroutine, Token: e.Token, Unsure: true, Text: err.Error()})
	}
	e.At = time.Now().UnixNano()
	switch err := lease.Unlock(ctx); {
	case errors.Is(err, relock.ErrLost):
		e.Kind = lost
	case err != nil:
		w.rep.tell(event{Kind: failed, Goroutine: goroutine, Token: e.Token, Text: err.Error()})
	}
	w.rep.tell(e)
	return nil
}

// update deposits something and returns how much, or 0 and why not. It leaves it
// to the Guard to tell whether the lease still stands: no look at the lease
// before the write could, since the process may be stopped right after it.
func (w *worker) update(ctx context.Context, goroutine int, lease *relock.Lease) (int64, error) {
	s := lease.Sequencer()
	a, err := w.ledger.read(ctx, s)
	if err != nil {
		return 0, err
	}
	if w.stay.CompareAndSwap(true, false) {
		if err := w.stayInside(ctx, goroutine, lease); err != nil {
			return 0, err
		}
	}
	amount := 1 + rand.Int64N(100)
	if err := w.ledger.write(ctx, s, a.deposit(int64(s.Token), w.job.Worker, goroutine, amount)); err != nil {
		return 0, err
	}
	return amount, nil
}

// stayInside returns when the parent says so. In between the parent stops this
// process; the longest time between two ticks is how long it did not run.
func (w *worker) stayInside(ctx context.Context, goroutine int, lease *relock.Lease) error {
	e := event{Kind: inside, Goroutine: goroutine, Token: int64(lease.Token())}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last := time.Now() // every stop falls between two readings of the clock
	if err := w.rep.tellNow(e); err != nil {
		return err
	}
	e.Kind = lag
	for on := false; !on; {
		select {
		case <-w.resumed:
			e.Ended = errors.Is(lease.Err(), relock.ErrLost)
			on = true
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now := time.Now()
		e.Frozen, last = max(e.Frozen, int64(now.Sub(last))), now
	}
	return w.rep.tellNow(e)
}
