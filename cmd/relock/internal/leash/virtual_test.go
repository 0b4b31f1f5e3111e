package leash

import (
	"context"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// guarded is a command whose guardian kills it when its orders are old.
type guarded struct {
	ended  chan struct{}
	mu     sync.Mutex
	killAt time.Time
	least  time.Duration // that an order has come before the one before it ran out
}

func (g *guarded) Until(t time.Time, patience, _ time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.killAt.IsZero() {
		g.least = min(g.least, time.Until(g.killAt))
	}
	g.killAt = t.Add(patience)
}

func (g *guarded) Done() <-chan struct{}     { return g.ended }
func (g *guarded) Empty() <-chan struct{}    { return g.ended }
func (g *guarded) Orphaned() <-chan struct{} { return nil }
func (g *guarded) Overdue() bool             { return false }
func (g *guarded) Pass(os.Signal)            {}
func (g *guarded) Terminate()                {}
func (g *guarded) Kill()                     {}
func (g *guarded) Clear(time.Duration)       {}

// renewed is a lease that is renewed at a third of its TTL.
type renewed struct {
	ctx   context.Context
	mu    sync.Mutex
	until time.Time
}

func (r *renewed) Context() context.Context { return r.ctx }
func (r *renewed) Err() error               { return r.ctx.Err() }

func (r *renewed) ValidUntil() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until
}

func (r *renewed) renew(ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = time.Now().Add(ttl)
}

func TestAGuardianHearsOfARenewalLongBeforeItWouldKill(t *testing.T) {
	for _, ttl := range []time.Duration{100 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
		for _, grace := range []time.Duration{0, ttl / 6, ttl / 3} {
			synctest.Test(t, func(t *testing.T) {
				g := &guarded{ended: make(chan struct{}), least: ttl}
				lease := &renewed{ctx: t.Context()}
				lease.renew(ttl)
				go func() {
					defer close(g.ended)
					for range 100 {
						<-time.After(ttl / 3)
						lease.renew(ttl)
					}
				}()
				l := &Leash{Grace: grace, Margin: Margin(ttl)}
				if loss := l.Follow(g, lease); loss.Lost {
					t.Errorf("a lease that is renewed was lost: %+v", loss)
				}
				if g.least < ttl/4 {
					t.Errorf("TTL %v, grace %v: it heard of a renewal %v before it would have killed, want %v", ttl, grace, g.least, ttl/4)
				}
			})
		}
	}
}
