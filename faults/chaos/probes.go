package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/faults/work"
)

// probes are locks of the harness's own: one of a holder that no fault touches,
// one of a waiter behind the proxies.
type probes struct {
	holder, waiter *work.Locks
}

func openProbes(j work.Job, r *rig.Rig) (*probes, error) {
	p := &probes{}
	var err error
	if p.holder, err = j.Open(); err != nil {
		return nil, err
	}
	j.Through = r.Through(0)
	if p.waiter, err = j.Open(); err != nil {
		p.holder.Close()
	}
	return p, err
}

func (p *probes) close() {
	p.waiter.Close()
	p.holder.Close()
}

// Slack is what a bound of liveness allows for the scheduling of processes on a
// loaded machine. No bound of safety has any.
const Slack = 10 * time.Second

// probeName is a lock that no worker takes.
const probeName = "probe"

// timeWaiter is L2: a waiter whose messages are lost, by what strike does, has
// the lock at its check-in.
func (f *Field) timeWaiter(ctx context.Context, strike func() error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healWithin)
	defer cancel()
	lease, err := f.probes.holder.Mutex(probeName).Lock(ctx)
	if err != nil {
		return fmt.Errorf("the probe's holder: %w", err)
	}
	defer func() { _ = lease.Unlock(ctx) }() // where the strike came to nothing: a further Unlock has no effect
	had := make(chan error, 1)
	var at time.Time
	go func() {
		next, err := f.probes.waiter.Mutex(probeName).Lock(ctx)
		at = time.Now()
		if err == nil {
			err = next.Unlock(ctx)
		}
		had <- err
	}()
	if err := until(ctx, func() error { return f.awaited(ctx) }); err != nil {
		return err
	}
	if err := strike(); err != nil {
		return err
	}
	start := time.Now()
	if err := lease.Unlock(ctx); err != nil {
		return fmt.Errorf("the probe's holder: %w", err)
	}
	if err := <-had; err != nil {
		return fmt.Errorf("the probe's waiter: %w", err)
	}
	f.judgeWaiter(at.Sub(start))
	return nil
}

func (f *Field) judgeWaiter(took time.Duration) {
	bound := min(Timing.Check, Timing.TTL/3) + 500*time.Millisecond
	f.Verdict.Checked["L2"]++
	f.Verdict.Delay("L2 had without messages", took)
	if took > bound+Slack {
		f.Verdict.Add("L2", probeName, history.Now(), "a waiter without messages had the lock after %v; the bound is %v", took, bound)
	}
}

// awaited returns nil if somebody waits for the probe.
func (f *Field) awaited(ctx context.Context) error {
	asked, ok := f.probes.holder.Mutex(probeName).(interface {
		Status(ctx context.Context) (relock.Status, error)
	})
	if !ok {
		return nil
	}
	st, err := asked.Status(ctx)
	if err == nil && st.Waiters == 0 {
		err = fmt.Errorf("chaos: nobody waits for the probe yet")
	}
	return err
}

// FinalLocks is L1's end: every lock can be had, within its bound, once the
// faults and the workers are gone.
func (f *Field) FinalLocks(ctx context.Context) {
	bound := Timing.TTL + Timing.Check + time.Second
	for _, name := range append([]string{probeName}, f.Shared...) {
		bounded, cancel := context.WithTimeout(ctx, bound+Slack)
		start := time.Now()
		lease, err := f.probes.holder.Mutex(name).Lock(bounded)
		f.Verdict.Checked["L1"]++
		f.Verdict.Delay("L1 had at the end", time.Since(start))
		if err == nil {
			err = lease.Unlock(bounded)
		}
		if err != nil {
			f.Verdict.Add("L1", name, history.Now(), "at the end it cannot be had: %v", err)
		}
		cancel()
	}
}

// Leftovers is S6 and L4: no key of a lock or a queue, and no subscription, is
// left once everybody has gone; what was killed is gone with its TTL.
func (f *Field) Leftovers(ctx context.Context) {
	f.Verdict.Checked["S6"]++
	bounded, cancel := context.WithTimeout(ctx, 3*Timing.TTL+Slack)
	defer cancel()
	start := time.Now()
	err := until(bounded, func() error { return f.clean(bounded) })
	f.Verdict.Delay("L4 clean at the end", time.Since(start))
	if err != nil {
		f.Verdict.Add("S6", "", history.Now(), "something is left: %v", err)
	}
}

// stays tells whether a key may be left: fences, tombstones, and what a node of
// a quorum remembers.
func stays(key string) bool {
	for _, kind := range []string{"fence", "tombstones", "redfence", "redtombstones", "rednode", "redvote", "redaccepted"} {
		if strings.HasPrefix(key, prefix+kind) {
			return true
		}
	}
	return false
}

func (f *Field) clean(ctx context.Context) error {
	for _, s := range f.Rig.Primaries(ctx) {
		keys, err := f.admin(s).Keys(ctx, prefix+"*").Result()
		if err != nil {
			return err
		}
		for _, key := range keys {
			if !stays(key) {
				return fmt.Errorf("chaos: key %s on %s", key, s.Addr())
			}
		}
		channels, err := f.admin(s).PubSubChannels(ctx, prefix+"*").Result()
		if err != nil {
			return err
		}
		if len(channels) > 0 {
			return fmt.Errorf("chaos: subscriptions %v on %s", channels, s.Addr())
		}
	}
	return nil
}
