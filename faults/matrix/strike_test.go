package matrix

import (
	"time"

	"github.com/relock-go/relock"
)

// A strike is the common course of a fault that befalls servers while a lock is
// held: the holder is told, or keeps the lock; who asks meanwhile is told the
// truth; once the fault is over the lock is had again, under a greater token.
type strike struct {
	begin func(w *world)
	end   func(w *world)
	// fate is what becomes of a holder that the fault decides for.
	fate fate
	// says is what Redis answers to others meanwhile; nil: it does not answer.
	says []string
	// open tells that others are served meanwhile.
	open bool
}

type fate int

const (
	losesAtDeadline fate = iota // it cannot be renewed
	losesAtRenewal              // the server says that it is not held
	keeps                       // it is renewed, or outlives the fault
)

func (s strike) run(w *world) {
	fate := s.fate
	if w.kind.outlives {
		fate = keeps
	}
	ttl := [...]time.Duration{losesAtDeadline: short, losesAtRenewal: told, keeps: long}[fate]
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(holder.lock())) // scripts, and who the nodes are, are known
	w.unlock(w.hold(other.lock()))
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(ttl)))
	s.begin(w)
	start := time.Now()
	switch {
	case w.kind.outlives:
		w.wantKept(lease)
		w.wantTaken(other)
	case !s.open:
		w.wantRefused(other, s.says...)
	}
	s.holderEnds(w, fate, lease, start)
	s.end(w)
	if fate == keeps {
		w.wantKept(lease)
		w.unlock(lease)
	}
	w.wantFree(other, ttl)
}

// holderEnds checks what the fault does to the lease.
func (s strike) holderEnds(w *world, fate fate, lease *relock.Lease, start time.Time) {
	w.Helper()
	switch fate {
	case losesAtDeadline:
		w.wantLostAtDeadline(lease)
	case losesAtRenewal:
		w.wantLostWithin(lease, start, renewal(told))
	case keeps:
		if err := lease.Err(); err != nil {
			w.Errorf("the lease says %v", err)
		}
	}
}
