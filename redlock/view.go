package redlock

import (
	"math/rand/v2"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// view shows a request the quorum that it is of.
type view struct{ q *quorum }

var _ facts = view{}

func (w view) refuses(i int) error        { return w.q.membership.refuses(i) }
func (w view) owes(i int) int             { return int(w.q.peers[i].late.Load()) }
func (w view) order() []int               { return w.q.membership.order() }
func (w view) contended(name string) bool { return w.q.contended.has(name) }
func (w view) yields() bool               { return rand.N(2) == 0 }
func (w view) need() int                  { return w.q.need }
func (w view) addr(i int) string          { return w.q.peers[i].addr }

func (w view) patience(ttl time.Duration) time.Duration { return w.q.set.patience(ttl) }
func (w view) least(ttl time.Duration) time.Duration    { return w.q.set.least(ttl) }
func (w view) callTimeout(i int) time.Duration          { return w.q.peers[i].node.CallTimeout() }

// propose returns the first token to propose for r. For an owner that may have
// the lock elsewhere none: a node that had accepted a new one could not tell
// whether the owner's is still good.
func (w view) propose(r *engine.Request, now time.Time) engine.Proposal {
	q := w.q
	if !r.Shared {
		return first(q.seen.Load(), now)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if mine := q.owned[ownerKey{r.Name, r.Owner}]; mine != nil {
		return engine.Proposal{Token: mine.token, Kind: engine.Owned}
	}
	return engine.Proposal{}
}
