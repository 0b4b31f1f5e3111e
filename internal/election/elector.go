package election

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// An Elector leads for those who ask it whether it does.
type Elector struct {
	candidate Candidate
	running   atomic.Bool
	lead      atomic.Pointer[lifecycle.Lease] // of the term; nil: there is none
}

// NewElector returns the Elector of c.
func NewElector(c Candidate) *Elector {
	e := &Elector{candidate: c}
	e.candidate.Again = func(err error) bool { return errors.Is(err, engine.ErrUnlocked) || c.Again(err) } // by Resign
	return e
}

// Run stands, and leads, until ctx ends.
func (e *Elector) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return engine.Invalid("this Elector runs already")
	}
	defer e.running.Store(false)
	return e.candidate.Lead(ctx, func(ctx context.Context, lease lifecycle.Lease) error {
		e.lead.Store(&lease)
		defer e.lead.Store(nil) // nobody is told that it leads once the lock is on its way back
		<-ctx.Done()
		return context.Cause(ctx)
	})
}

// Lease returns the lease by which e leads now, or nil. It reads the clock.
func (e *Elector) Lease() lifecycle.Lease {
	if lead := e.lead.Load(); lead != nil && (*lead).Err() == nil {
		return *lead
	}
	return nil
}

// Resign gives the lock back, and has e stand again.
func (e *Elector) Resign(ctx context.Context) error {
	lead := e.lead.Load()
	if lead == nil || !e.lead.CompareAndSwap(lead, nil) {
		return engine.ErrNotLeader
	}
	err := (*lead).Unlock(ctx)
	if errors.Is(err, engine.ErrNotHeld) { // Run has given it back
		return engine.ErrNotLeader
	}
	return err
}
