package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/internal/faultproxy"
)

// Partition is the work of a holder that is cut off from the server while
// another waits for its lock.
func Partition(rig *Rig, ttl time.Duration) Work {
	run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
		return partition(ctx, rig, k, ttl)
	}
	return Work{
		Work: result.Work{
			Key: "partition", Title: "Belief under partition", Loop: "alone",
			About: fmt.Sprintf("A holder with a TTL of %v reaches the server through a proxy, which then forwards nothing more in either direction; another "+
				"client waits for the lock. Gap: from the holder's learning of its loss (the library's own signal; where it has none, "+
				"the user's renewing goroutine) to the return of the next holder's Lock. Below 0 two believe in the lock at once.", ttl),
			Metrics: []result.Metric{result.Gap, result.Learnt},
		},
		Points: []Point{{
			Label: "holder cut off", At: map[string]float64{"ttl_ms": ttl.Seconds() * 1e3},
			Entrants: entrantsOf(nil, rival.Keeping(), run),
		}},
	}
}

func partition(ctx context.Context, rig *Rig, k rival.Kind, ttl time.Duration) (result.Sample, error) {
	proxy, err := faultproxy.New(rig.Main.Addr)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	near, err := rig.open(ctx, k, 1, func(env *rival.Env) {
		env.Keep, env.TTL, env.Addrs = true, ttl, []string{proxy.Addr()}
	})
	if err != nil {
		return nil, err
	}
	defer func() { go near.close() }() // it may wait for the answer that cannot come
	far, err := rig.open(ctx, k, 1, func(env *rival.Env) { env.Keep, env.TTL = true, ttl })
	if err != nil {
		return nil, err
	}
	defer far.close()

	name := rig.fresh("partition")
	held, err := near.locker(0, name).Lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	watched, ok := held.(rival.Watched)
	if !ok {
		return nil, fmt.Errorf("%w: its holder learns of no loss", errSkipped)
	}
	starts := make(chan start, 1)
	go func() { starts <- begin(ctx, far.locker(0, name)) }()
	if err := rest(ctx, ttl*5/4); err != nil { // renewed, and waited for
		return nil, err
	}
	proxy.Blackhole(faultproxy.Both)
	cut := time.Now()
	var learnt time.Time
	select {
	case <-watched.Lost():
		learnt = time.Now()
	case <-ctx.Done():
		return nil, errors.New("the holder never learned of its loss")
	}
	next := <-starts
	if next.err != nil {
		return nil, fmt.Errorf("next holder: %w", next.err)
	}
	if next.at.Before(cut) {
		return nil, errNotExclusive
	}
	return result.Sample{result.Gap: micros(next.at.Sub(learnt)), result.Learnt: micros(learnt.Sub(cut))}, nil
}

type start struct {
	at  time.Time
	err error
}

func begin(ctx context.Context, l rival.Locker) start {
	held, err := l.Lock(ctx)
	at := time.Now()
	if err != nil {
		return start{at, err}
	}
	return start{at, held.Unlock(ctx)}
}
