package redisengine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// fakeCopy is a transmission that has left.
type fakeCopy struct{ id int }

func (*fakeCopy) launch(context.Context, *sender, *flight, func()) {}

func (*fakeCopy) bar() bool { return true }

func (*fakeCopy) hangs() bool { return true }

// In whatever order copies land, or are given up, what counts as under way is the
// copies of which nobody knows: with one by whoever sent the request, until it has
// an outcome that is certain.
func TestAFlightCountsTheCopiesThatMayComeLate(t *testing.T) {
	results := []error{nil, serverError("BUSY"), engine.ErrUnsent, engine.ErrUnknown}
	seen := 0
	// Every sequence of moves is played anew: a copy leaves (L), the oldest or the
	// newest under way lands with each result, or the flight is given up (G).
	play := func(moves []int) {
		r := &engine.Request{Copies: new(atomic.Int32)}
		f := &flight{decided: make(chan struct{})}
		first := &fakeCopy{}
		f.join(first, nil)
		flying, uncertain, path, gaveUp := []*fakeCopy{first}, 0, "", false
		for _, m := range moves {
			switch {
			case m == 0:
				c := &fakeCopy{len(path)}
				if f.join(c, []*engine.Request{r}) {
					flying = append(flying, c)
				}
				path += " leaves"
			case m == 1:
				if f.over { // it is waited for no longer
					return
				}
				gaveUp = true
				f.abandon(context.Canceled)
				path += " given-up"
			case len(flying) == 0:
				return
			default:
				k, err := (m-2)/len(results)*(len(flying)-1), results[(m-2)%len(results)]
				c := flying[k]
				flying = append(flying[:k:k], flying[k+1:]...)
				if errors.Is(err, engine.ErrUnknown) {
					uncertain++
				}
				f.land(c, outcome{err: err})
				path += fmt.Sprintf(" lands-%d:%v", k, err)
			}
		}
		seen++
		if !f.over || f.copies == 1 {
			return
		}
		own := 0
		if gaveUp || errors.Is(f.best.err, engine.ErrUnknown) {
			own = 1
		}
		if got, want := int(r.Copies.Load())+own, len(flying)+uncertain; got != want {
			t.Errorf("%s: %d count as under way, %d are", path, got, want)
		}
	}
	var all func(moves []int, depth int)
	all = func(moves []int, depth int) {
		play(moves)
		if depth == 0 {
			return
		}
		for m := range 2 + 2*len(results) {
			all(append(moves[:len(moves):len(moves)], m), depth-1)
		}
	}
	all(nil, 5)
	t.Logf("%d sequences", seen)
}

func TestOneSlowAnswerLeavesACallTimeForCopies(t *testing.T) {
	s := newSender(nil, 3*time.Second)
	s.usual.Store(int64(3 * time.Second))
	if dead := s.patience() + 8*s.every; dead >= 3*time.Second {
		t.Errorf("the eighth copy leaves after %v, and a call has 3s", dead)
	}
}
