package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// queueClients is how many clients a long queue is spread over.
const queueClients = 8

// Queue is the work of a server with many registered waiters.
func Queue(rig *Rig, waiters []int) Work {
	w := Work{Work: result.Work{
		Key: "queue", Title: "Server time by length of the queue", Loop: "drain",
		About: fmt.Sprintf("Waiters in %d clients behind a held lock, each known to the server. Acquire: the server's time for one more "+
			"that comes and waits, of the last tenth that came (EVALSHA, INFO commandstats). Hand-off: the server's time a section while the first "+
			"tenth of them have a turn each. relock's check interval is a minute here, so that check-ins stay out of the figure.", queueClients),
		Metrics: []result.Metric{result.AcquireTime, result.HandoffTime, result.Commands, result.ServerCPU},
	}}
	for _, n := range waiters {
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) { return queue(ctx, rig, k, n) }
		w.Points = append(w.Points, Point{
			Label: fmt.Sprintf("%d waiters", n), At: map[string]float64{"waiters": float64(n)},
			Entrants: entrantsOf(nil, rival.Queueing(), run),
		})
	}
	return w
}

func queue(ctx context.Context, rig *Rig, k rival.Kind, n int) (result.Sample, error) {
	f, err := rig.open(ctx, k, queueClients+1, func(env *rival.Env) { env.CheckInterval = time.Minute })
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.warm(ctx); err != nil {
		return nil, err
	}
	tenth := max(5, n/10)
	q := &longQueue{fleet: f, name: rig.fresh("queue"), crowd: &crowd{baton: newBaton(), handoffs: stats.NewHist()}}
	held, err := f.locker(queueClients, q.name).Lock(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer q.disperse(cancel)
	q.turns, q.reached, q.goOn = int64(tenth), make(chan struct{}), make(chan struct{})
	if err := q.join(ctx, n-tenth); err != nil {
		return nil, err
	}
	joins, err := q.measure(ctx, func() error { return q.join(ctx, tenth) })
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	turns, err := q.measure(ctx, func() error {
		q.passed.Store(q.now())
		return errors.Join(held.Unlock(ctx), q.await(ctx))
	})
	if err != nil {
		return nil, fmt.Errorf("drain: %w", err)
	}
	return result.Sample{
		result.AcquireTime: micros(joins.Time["evalsha"]) / float64(joins.Calls["evalsha"]),
		result.HandoffTime: micros(turns.Time["evalsha"]) / float64(tenth),
		result.Commands:    turns.commands() / float64(tenth),
		result.ServerCPU:   micros(turns.CPU) / float64(tenth),
	}, q.check()
}

// longQueue lets a number of its waiters have a turn, and has the next one keep
// the lock until it is dispersed.
type longQueue struct {
	*fleet
	*crowd
	name    string
	joined  int
	turns   int64
	reached chan struct{} // closed by the one after the last turn, who holds
	goOn    chan struct{}
	left    []chan struct{}
}

func (q *longQueue) measure(ctx context.Context, do func() error) (usage, error) {
	stop, err := q.meter(ctx)
	if err != nil {
		return usage{}, err
	}
	if err := do(); err != nil {
		return usage{}, err
	}
	return stop()
}

// join adds n waiters, and returns when the server has heard of them all: when
// the number of its commands stands still.
func (q *longQueue) join(ctx context.Context, n int) error {
	for range n {
		l := q.clients[q.joined%queueClients].Locker(q.name)
		q.joined++
		done := make(chan struct{})
		q.left = append(q.left, done)
		go func() {
			defer close(done)
			q.wait(ctx, l)
		}()
	}
	for last := int64(-1); ; {
		st, err := q.rig.Main.Stats(ctx)
		if err != nil {
			return err
		}
		now := st.Sent(q.kind.Commands)
		if now == last {
			return nil
		}
		last = now
		if err := rest(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (q *longQueue) wait(ctx context.Context, l rival.Locker) {
	held, err := l.Lock(ctx)
	if err != nil {
		if ctx.Err() == nil {
			q.fail(err)
		}
		return
	}
	q.handoffs.Record(q.take())
	if q.sections.Load() == q.turns+1 {
		close(q.reached)
		<-q.goOn
	}
	q.pass()
	if err := held.Unlock(context.WithoutCancel(ctx)); err != nil {
		q.fail(err)
	}
}

func (q *longQueue) await(ctx context.Context) error {
	select {
	case <-q.reached:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// disperse sends home those who still wait.
func (q *longQueue) disperse(cancel func()) {
	cancel()
	close(q.goOn)
	for _, done := range q.left {
		<-done
	}
}
