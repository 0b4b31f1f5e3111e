//go:build !race

package redlock

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A modelNode is a server as vote.lua, release.lua and renew.lua have it, for one
// lock and with a clock of its own process: the same instant everywhere.
type modelNode struct {
	forgot bool // its id, and all else
	owner  string
	token  int64
	issued bool
	holds  []modelHold // by id
	fence  int64
	queue  []modelWaiter // by arrival
	tombs  []string      // ids, sorted
}

type modelHold struct {
	id  string
	end time.Time
}

type modelWaiter struct {
	id, owner string
	arrived   time.Time
	ttl, life time.Duration
	seen      time.Time
}

// A modelGrant is a grant by message.
type modelGrant struct {
	node int
	id   string
}

func (n *modelNode) clone() modelNode {
	c := *n
	c.holds, c.queue, c.tombs = slices.Clone(n.holds), slices.Clone(n.queue), slices.Clone(n.tombs)
	return c
}

// purge drops what has ended.
func (n *modelNode) purge(now time.Time) {
	n.holds = slices.DeleteFunc(n.holds, func(h modelHold) bool { return !h.end.After(now) })
	n.queue = slices.DeleteFunc(n.queue, func(w modelWaiter) bool { return !w.seen.Add(w.life).After(now) })
	if len(n.holds) == 0 {
		n.owner, n.token, n.issued = "", 0, false
	}
}

func (n *modelNode) hold(id string) *modelHold {
	for i := range n.holds {
		if n.holds[i].id == id {
			return &n.holds[i]
		}
	}
	return nil
}

func (n *modelNode) free() bool { return len(n.holds) == 0 }

// place returns where id stands in the queue, or -1.
func (n *modelNode) place(id string) int {
	return slices.IndexFunc(n.queue, func(w modelWaiter) bool { return w.id == id })
}

func (n *modelNode) leaveQueue(id string) bool {
	i := n.place(id)
	if i >= 0 {
		n.queue = slices.Delete(n.queue, i, i+1)
	}
	return i >= 0
}

func (n *modelNode) grant(id, owner string, end time.Time) {
	n.owner, n.token, n.issued = owner, 0, false
	n.holds = []modelHold{{id, end}}
}

// passOn grants a free lock to the first waiter. self hears that by its reply.
func (n *modelNode) passOn(now time.Time, self string) (told string) {
	if !n.free() || len(n.queue) == 0 {
		return ""
	}
	w := n.queue[0]
	n.leaveQueue(w.id)
	ttl := w.ttl
	if w.id != self {
		ttl, told = min(ttl, w.life), w.id
	}
	n.grant(w.id, w.owner, now.Add(ttl))
	return told
}

// acquire is vote.lua. told is who is sent a grant.
func (n *modelNode) acquire(now time.Time, r *engine.Request) (ans engine.Answer, told string, err error) {
	n.purge(now)
	if n.forgot {
		return ans, "", fmt.Errorf("%w: the model forgot", engine.ErrForgot)
	}
	if slices.Contains(n.tombs, r.Hold) {
		return engine.Answer{State: engine.Withdrawn}, "", nil
	}
	end := now.Add(r.TTL)
	switch h := n.hold(r.Hold); {
	case h != nil && n.owner == r.Owner:
		h.end = maxTime(h.end, end)
	case !n.free() && n.owner == r.Owner:
		n.leaveQueue(r.Hold)
		n.holds = append(n.holds, modelHold{r.Hold, end})
		slices.SortFunc(n.holds, func(a, b modelHold) int { return strings.Compare(a.id, b.id) })
	case n.free() && len(n.queue) == 0:
		n.grant(r.Hold, r.Owner, end)
	default:
		if r.Wait {
			n.join(now, r)
		}
		told = n.passOn(now, r.Hold)
	}
	if n.hold(r.Hold) == nil {
		ans = engine.Answer{State: engine.Taken, Token: n.token, Owner: n.owner, Left: n.last().Sub(now)}
		if r.Wait {
			ans.State, ans.Place = engine.Waiting, n.place(r.Hold)
		}
		return ans, told, nil
	}
	n.accept(r.Propose)
	return engine.Answer{
		State: engine.Granted, Token: n.token, Count: len(n.holds), Left: n.hold(r.Hold).end.Sub(now),
		Accepted: n.fence, Issued: n.issued,
	}, told, nil
}

func (n *modelNode) last() (end time.Time) {
	for _, h := range n.holds {
		end = maxTime(end, h.end)
	}
	return end
}

func (n *modelNode) join(now time.Time, r *engine.Request) {
	if i := n.place(r.Hold); i >= 0 {
		n.queue[i].seen = now
		return
	}
	n.queue = append(n.queue, modelWaiter{r.Hold, r.Owner, r.Arrived, r.TTL, r.Life, now})
	slices.SortStableFunc(n.queue, func(a, b modelWaiter) int { return a.arrived.Compare(b.arrived) })
}

// accept takes the proposal, or not.
func (n *modelNode) accept(p engine.Proposal) {
	if p.Token == 0 {
		return
	}
	issued := n.issued && len(n.holds) > 1
	switch {
	case p.Token == n.token:
	case p.Kind == engine.Owned:
		if p.Token < n.fence {
			return
		}
	case p.Token <= n.fence || p.Kind == engine.Fresh && len(n.holds) > 1 && n.token != 0:
		return
	}
	n.issued = p.Kind == engine.Owned || issued && p.Token == n.token
	n.token, n.fence = p.Token, max(n.fence, p.Token)
}

// release is release.lua. gone reports that there was nothing.
func (n *modelNode) release(now time.Time, r *engine.Release) (gone bool, told string) {
	n.purge(now)
	mine := n.hold(r.Hold) != nil && !r.Leave
	if mine {
		n.holds = slices.DeleteFunc(n.holds, func(h modelHold) bool { return h.id == r.Hold })
		n.purge(now)
	}
	left := n.leaveQueue(r.Hold)
	if r.Bury && !slices.Contains(n.tombs, r.Hold) {
		n.tombs = append(n.tombs, r.Hold)
		slices.Sort(n.tombs)
	}
	if !mine && !left {
		return true, ""
	}
	return false, n.passOn(now, "")
}

// renew is renew.lua.
func (n *modelNode) renew(now time.Time, r *engine.Renewal) engine.Answer {
	n.purge(now)
	h := n.hold(r.Hold)
	if h == nil {
		return engine.Answer{}
	}
	h.end = maxTime(h.end, now.Add(r.TTL))
	return engine.Answer{State: engine.Granted, Token: n.token, Count: len(n.holds), Left: h.end.Sub(now)}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
