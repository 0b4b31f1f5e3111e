package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

const (
	workerEnv = "RELOCK_SQL_DEMO_WORKER"
	resource  = "relock-demo:account"
)

// Orders, a line each.
const (
	hold   = "hold"   // the next section stays between its read and its write
	resume = "resume" // go on with it
	finish = "finish" // start no further section
)

// event is what a worker tells, a line each.
type event struct {
	Kind   string // wrote, refused, inside, awake, failed; of the parent's own: exited
	Worker int
	Token  relock.Token
	Amount int64
	Lost   bool // awake: its lease said so at once
	Text   string
}

// worker is a process of goroutines that contend for the lock.
type worker struct {
	driver string
	db     *sql.DB
	lock   *relock.Mutex
	fence  *sqlfence.Fence

	mu      sync.Mutex
	out     *json.Encoder
	stay    atomic.Bool
	resumed chan struct{}
	over    atomic.Bool
}

func work(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Scan()
	var cfg config
	if err := json.Unmarshal(lines.Bytes(), &cfg); err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: cfg.Redis})
	defer rdb.Close()
	client, err := relock.New(rdb, relock.WithTTL(cfg.TTL))
	if err != nil {
		return err
	}
	defer client.Close()
	w := &worker{driver: cfg.Driver, lock: client.Mutex("relock-demo"), out: json.NewEncoder(out), resumed: make(chan struct{}, 1)}
	if w.db, err = open(cfg); err != nil {
		return err
	}
	defer w.db.Close()
	if w.fence, err = sqlfence.New(w.db, sqlfence.FromDriver); err != nil {
		return err
	}
	ctx, orphaned := context.WithCancel(context.Background())
	go func() {
		defer orphaned() // the parent is gone
		for lines.Scan() {
			switch lines.Text() {
			case hold:
				w.stay.Store(true)
			case resume:
				w.resumed <- struct{}{}
			case finish:
				w.over.Store(true)
			}
		}
	}()
	var all sync.WaitGroup
	for range cfg.Goroutines {
		all.Go(func() {
			for !w.over.Load() && ctx.Err() == nil {
				w.section(ctx)
			}
		})
	}
	all.Wait()
	return nil
}

func (w *worker) tell(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Encode(e) // fails if the parent is gone
}

// section is one turn. It leaves it to the fence to tell whether the lease still
// stands: no look at the lease before the write could, since the process may be
// stopped right after it.
func (w *worker) section(ctx context.Context) {
	lease, err := w.lock.Lock(ctx)
	if err != nil {
		w.tell(event{Kind: "failed", Text: err.Error()})
		return
	}
	defer func() { _ = lease.Unlock(ctx) }() // ErrLost is not our concern: the fence decides
	e := event{Kind: "wrote", Token: lease.Token(), Amount: 1 + int64(lease.Token())%100}
	if w.stay.CompareAndSwap(true, false) {
		err = w.inTwoSteps(ctx, lease, e.Amount)
	} else {
		err = w.fence.Do(ctx, resource, lease.Sequencer(), func(tx *sql.Tx) error {
			balance, err := read(ctx, tx)
			if err != nil {
				return err
			}
			return w.write(ctx, tx, lease, balance, e.Amount)
		})
	}
	switch {
	case errors.Is(err, relock.ErrStaleToken):
		e.Kind = "refused"
	case err != nil && ctx.Err() == nil:
		e.Kind, e.Text = "failed", err.Error()
	case err != nil:
		return
	}
	w.tell(e)
}

// inTwoSteps claims and reads in one transaction and writes in another, as a
// holder does that works in between. The parent stops the process there.
func (w *worker) inTwoSteps(ctx context.Context, lease *relock.Lease, amount int64) error {
	var balance int64
	err := w.fence.Do(ctx, resource, lease.Sequencer(), func(tx *sql.Tx) (err error) {
		balance, err = read(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	w.tell(event{Kind: "inside", Token: lease.Token()})
	select {
	case <-w.resumed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w.tell(event{Kind: "awake", Token: lease.Token(), Lost: errors.Is(lease.Err(), relock.ErrLost)})
	return w.fence.Do(ctx, resource, lease.Sequencer(), func(tx *sql.Tx) error {
		return w.write(ctx, tx, lease, balance, amount)
	})
}

func read(ctx context.Context, tx *sql.Tx) (balance int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT balance FROM relock_demo_account WHERE id = 1").Scan(&balance)
	return balance, err
}

// write writes the account, and into the history what was read.
func (w *worker) write(ctx context.Context, tx *sql.Tx, lease *relock.Lease, balance, amount int64) error {
	if _, err := tx.ExecContext(ctx, bind(w.driver, "UPDATE relock_demo_account SET balance = $1 WHERE id = 1"), balance+amount); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, bind(w.driver, "INSERT INTO relock_demo_history (token, seen, amount, at) VALUES ($1, $2, $3, $4)"),
		lease.Token(), balance, amount, time.Now().UnixMicro())
	return err
}

var placeholder = regexp.MustCompile(`\$\d`)

func bind(driver, text string) string {
	if driver == "pgx" {
		return text
	}
	return placeholder.ReplaceAllString(text, "?")
}
