package chaos

import (
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/internal/faultproxy"
)

// Faults of the way between workers and servers.

func restore(links []*faultproxy.Proxy) error {
	var errs []error
	for _, p := range links {
		errs = append(errs, p.Restore())
	}
	return errors.Join(errs...)
}

func (f *Field) reset(ctx context.Context, w *history.Window) error {
	times, gap := f.count(1, 4), f.between(5*time.Millisecond, 150*time.Millisecond)
	links := f.links(ctx)
	for range times {
		for _, p := range links {
			p.ResetAll()
		}
		w.Hits++
		if err := wait(ctx, gap); err != nil {
			return err
		}
	}
	return nil
}

// during runs a fault of the links for a drawn time and heals it.
func (f *Field) during(ctx context.Context, w *history.Window, inject func(p *faultproxy.Proxy)) error {
	span, links := f.between(100*time.Millisecond, 2500*time.Millisecond), f.links(ctx)
	for _, p := range links {
		inject(p)
	}
	w.Hits++
	err := wait(ctx, span)
	return errors.Join(err, restore(links))
}

func (f *Field) direction() faultproxy.Direction {
	return []faultproxy.Direction{faultproxy.Up, faultproxy.Down, faultproxy.Both}[f.count(0, 2)]
}

func (f *Field) blackhole(ctx context.Context, w *history.Window) error {
	dir := f.direction()
	return f.during(ctx, w, func(p *faultproxy.Proxy) { p.Blackhole(dir) })
}

func (f *Field) freeze(ctx context.Context, w *history.Window) error {
	dir := f.direction()
	return f.during(ctx, w, func(p *faultproxy.Proxy) { p.Freeze(dir) })
}

func (f *Field) refuse(ctx context.Context, w *history.Window) error {
	mode := faultproxy.Refuse
	if f.chance(50) {
		mode = faultproxy.Hang
	}
	return f.during(ctx, w, func(p *faultproxy.Proxy) { p.Cut(mode) })
}

func (f *Field) latency(ctx context.Context, w *history.Window) error {
	dir, d := f.direction(), f.between(5*time.Millisecond, 400*time.Millisecond)
	return f.during(ctx, w, func(p *faultproxy.Proxy) { p.Delay(dir, d) })
}

// calls matches the calls of scripts: what takes, renews and returns locks.
var calls = faultproxy.Command("evalsha", "eval")

func (f *Field) then() faultproxy.Then {
	return []faultproxy.Then{faultproxy.Close, faultproxy.Reset, faultproxy.Silence, faultproxy.Truncate}[f.count(0, 3)]
}

// striking arms one rule a link, waits until they have struck or a while has
// passed, and disarms them.
func (f *Field) striking(ctx context.Context, w *history.Window, links []*faultproxy.Proxy, arm func(p *faultproxy.Proxy) *faultproxy.Rule) error {
	const patience = 1500 * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var rules []*faultproxy.Rule
	for _, p := range links {
		rules = append(rules, arm(p))
	}
	for _, r := range rules {
		_ = r.Wait(bounded, 1) // a link that nobody uses now
	}
	for _, r := range rules {
		r.Remove()
		w.Hits += r.Hits()
	}
	// A connection that was left silent is found by those who wait on it.
	return errors.Join(wait(ctx, 100*time.Millisecond), ctx.Err())
}

func (f *Field) dropReply(ctx context.Context, w *history.Window) error {
	n, then, links := f.count(1, 6), f.then(), f.links(ctx)
	return f.striking(ctx, w, links, func(p *faultproxy.Proxy) *faultproxy.Rule { return p.DropReply(calls, n, then) })
}

func (f *Field) dropRequest(ctx context.Context, w *history.Window) error {
	n, then, links := f.count(1, 6), f.then(), f.links(ctx)
	return f.striking(ctx, w, links, func(p *faultproxy.Proxy) *faultproxy.Rule { return p.DropRequest(calls, n, then) })
}

func (f *Field) dropStoreReply(ctx context.Context, w *history.Window) error {
	n, side := f.count(1, 6), f.count(0, 1)
	links := []*faultproxy.Proxy{f.Rig.StoreProxy(side)}
	return f.striking(ctx, w, links, func(p *faultproxy.Proxy) *faultproxy.Rule {
		return p.DropReply(calls, n, faultproxy.Close)
	})
}

// holdRequest has requests arrive late: after their caller has given them up,
// or has sent them again on another connection.
func (f *Field) holdRequest(ctx context.Context, w *history.Window) error {
	n, span, links := f.count(1, 5), f.between(50*time.Millisecond, 2*time.Second), f.links(ctx)
	var held []*faultproxy.Held
	for _, p := range links {
		held = append(held, p.Hold(calls, n))
	}
	err := wait(ctx, span)
	for _, h := range held {
		h.Release()
		w.Hits += h.Hits()
	}
	return err
}

// dropPush swallows the messages to the workers, and to a waiter of our own
// that is timed.
func (f *Field) dropPush(ctx context.Context, w *history.Window) error {
	n := f.count(1, 20)
	var rules []*faultproxy.Rule
	for side := range rig.Sides {
		for _, s := range f.Rig.Servers {
			rules = append(rules, f.Rig.Proxy(side, s).DropPush(faultproxy.Any, n))
		}
	}
	err := f.timeWaiter(ctx, func() error { return nil })
	for _, r := range rules {
		r.Remove()
		w.Hits += r.Hits()
	}
	return err
}
