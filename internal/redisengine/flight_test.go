package redisengine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A fakeCopy is a transmission somewhere on its way.
type fakeCopy struct{ where where }

type where int

const (
	departed  where = iota // written, or about to be with others
	waits                  // in a dispatcher
	kept                   // in a goroutine of its own, for want of a connection
	barredFor              // kept, and will not leave any more
)

func (*fakeCopy) launch(context.Context, *sender, *flight, func()) {}

func (c *fakeCopy) recall() bool { return c.where == waits }

func (c *fakeCopy) bar() bool {
	if c.where == kept {
		c.where = barredFor
	}
	return c.where == departed
}

func (c *fakeCopy) hangs() bool { return c.where == departed }

// copyResults are what a copy may land with.
var copyResults = []error{nil, serverError("BUSY"), engine.ErrUnsent, engine.ErrUnknown}

// A played is a flight, and what a test knows of it.
type played struct {
	f         *flight
	r         *engine.Request
	flying    []*fakeCopy // that will land
	uncertain int         // that have landed without an answer
	gaveUp    error       // what abandon said
	path      string
}

// move makes the m-th move: a copy leaves, or comes to wait, or is kept; the flight is
// given up; the oldest or the newest copy under way lands with one of the results. It
// returns false if there is no such move now.
func (p *played) move(m int) bool {
	switch {
	case m <= int(kept):
		c := &fakeCopy{where(m)}
		if p.f.join(c, []*engine.Request{p.r}) {
			p.flying = append(p.flying, c)
		}
		p.path += fmt.Sprintf(" joins-%d", m)
	case m == int(kept)+1:
		if p.f.over { // it is waited for no longer
			return false
		}
		p.gaveUp = p.f.abandon(context.Canceled).err
		p.path += " given-up"
	default:
		m -= int(kept) + 2
		return p.land(m/len(copyResults)*(len(p.flying)-1), copyResults[m%len(copyResults)])
	}
	p.forgetRecalled()
	return true
}

// forgetRecalled takes out what the flight has taken back: it does not land.
func (p *played) forgetRecalled() {
	if p.f.over {
		p.flying = slices.DeleteFunc(p.flying, func(c *fakeCopy) bool { return c.where == waits })
	}
}

// land has the k-th copy land. One that has not left lands for no other reason than that,
// and so does one that is refused by its dispatcher.
func (p *played) land(k int, err error) bool {
	if len(p.flying) == 0 || p.flying[k].where == barredFor && !errors.Is(err, engine.ErrUnsent) {
		return false
	}
	c := p.flying[k]
	c.where = departed // in the meantime
	p.flying = slices.Delete(slices.Clone(p.flying), k, k+1)
	if errors.Is(err, engine.ErrUnknown) {
		p.uncertain++
	}
	p.f.land(c, outcome{err: err})
	p.path += fmt.Sprintf(" lands-%d:%v", k, err)
	p.forgetRecalled()
	return true
}

// check holds what counts as under way to what may take effect yet. One that is barred
// counts until it has landed.
func (p *played) check(t *testing.T) {
	own := 0
	if errors.Is(p.gaveUp, engine.ErrUnknown) || p.gaveUp == nil && errors.Is(p.f.best.err, engine.ErrUnknown) {
		own = 1
	}
	if got, want := int(p.r.Copies.Load())+own, len(p.flying)+p.uncertain; got != want {
		t.Errorf("%s: %d count as under way, %d are", p.path, got, want)
	}
	if p.gaveUp != nil && own == 0 && p.uncertain+len(p.flying) > 0 {
		for _, c := range p.flying {
			if c.where == departed {
				t.Errorf("%s: it is said not to have left", p.path)
			}
		}
	}
}

// In whatever order copies land, are taken back, or are given up, what counts as under
// way is the copies of which nobody knows: with one by whoever sent the request, until
// it has an outcome that is certain.
func TestAFlightCountsTheCopiesThatMayComeLate(t *testing.T) {
	seen := 0
	// Every sequence of moves is played anew, for each way in which the first copy is on
	// its.
	play := func(first where, moves []int) (possible bool) {
		p := &played{r: &engine.Request{Copies: new(atomic.Int32)}, f: &flight{decided: make(chan struct{})}}
		c := &fakeCopy{first}
		p.f.join(c, nil)
		p.flying, p.path = []*fakeCopy{c}, fmt.Sprintf("joins-%d", first)
		for _, m := range moves {
			if !p.move(m) {
				return false
			}
		}
		seen++
		if p.f.over && p.f.copies > 1 {
			p.check(t)
		}
		return true
	}
	var all func(first where, moves []int, depth int)
	all = func(first where, moves []int, depth int) {
		if !play(first, moves) || depth == 0 {
			return
		}
		for m := range int(kept) + 2 + 2*len(copyResults) {
			all(first, append(moves[:len(moves):len(moves)], m), depth-1)
		}
	}
	for first := departed; first <= kept; first++ {
		all(first, nil, 5)
	}
	t.Logf("%d sequences", seen)
}

func TestOneSlowAnswerLeavesACallTimeForCopies(t *testing.T) {
	s := newSender(nil, 3*time.Second)
	s.usual.Store(int64(3 * time.Second))
	if dead := s.patience() + 8*s.every; dead >= 3*time.Second {
		t.Errorf("the eighth copy leaves after %v, and a call has 3s", dead)
	}
}
