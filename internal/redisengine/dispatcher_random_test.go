package redisengine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Whatever is asked, given up, answered, late or broken, in whatever order: who gives up
// returns at once, and what is said not to have left was never written; a withdrawal
// leaves behind its acquire; at the end no place is taken, and nothing waits.
func TestRequestsInAnyOrder(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inLab(t, func(l *lab) {
				p := &player{lab: l, rnd: rand.New(rand.NewPCG(seed, 1)), wrote: map[string]bool{}}
				l.heedless = p.rnd.IntN(3) == 0
				for n := range 400 {
					p.move(fmt.Sprint(n))
					p.collect()
				}
				p.end()
			})
		})
	}
}

// A player makes requests, and answers them.
type player struct {
	*lab
	rnd   *rand.Rand
	open  []*sending // that are not answered
	lives []*life
	wrote map[string]bool // by hold
}

// A life is one hold's: its acquire, and whether it was withdrawn.
type life struct {
	*asked
	hold      string
	r         *engine.Request
	withdrawn bool
}

func (p *player) move(hold string) {
	switch k := p.rnd.IntN(12); {
	case k < 4:
		r := &engine.Request{Copies: new(atomic.Int32)}
		p.lives = append(p.lives, &life{asked: p.ask(&request{hold: hold, carried: []*engine.Request{r}}), hold: hold, r: r})
	case k < 6 && len(p.lives) > 0:
		p.giveUp(p.lives[p.rnd.IntN(len(p.lives))])
	case k < 9:
		p.settle(nil)
	case k == 9:
		p.settle(errors.New("broken pipe"))
	case k == 10 && len(p.open) > 0:
		p.written(p.open[p.rnd.IntN(len(p.open))])
	default:
		<-time.After(time.Duration(p.rnd.IntN(100)) * time.Millisecond)
	}
}

func (p *player) written(s *sending) {
	for _, word := range s.words() {
		if _, err := word.MarshalBinary(); err == nil {
			p.wrote[word.String()] = true
		}
	}
}

// settle ends one that lies on the desk: it is answered, or fails, written or not.
func (p *player) settle(err error) {
	if len(p.open) == 0 {
		return
	}
	i := p.rnd.IntN(len(p.open))
	s := p.open[i]
	p.open = slices.Delete(p.open, i, i+1)
	if err == nil || p.rnd.IntN(2) == 0 {
		p.written(s)
	}
	if err == nil {
		s.answer()
	} else {
		s.fail(err)
	}
	synctest.Wait()
}

func (p *player) giveUp(o *life) {
	o.cancel()
	if !o.done() {
		p.t.Fatalf("%s was given up, and does not return", o.hold)
	}
	if errors.Is(o.err, engine.ErrUnknown) && !o.withdrawn {
		o.withdrawn = true
		p.ask(&request{hold: o.hold, urgent: true, ends: true, make: func() *command {
			return newCommand(&releaseScript, []any{"k"}, "-"+o.hold)
		}})
	}
}

// collect takes what was sent.
func (p *player) collect() {
	synctest.Wait()
	for len(p.came) > 0 {
		s := <-p.came
		if n := len(s.cmds); n > 64 {
			p.t.Errorf("%d in a pipeline", n)
		}
		for _, hold := range strings.Fields(s.holds()) {
			acquire, withdrawal := strings.CutPrefix(hold, "-")
			if withdrawal && slices.ContainsFunc(append(p.open, s), func(s *sending) bool { return s.carries(acquire) }) {
				p.t.Errorf("the withdrawal of %s left before it", acquire)
			}
		}
		p.open = append(p.open, s)
	}
}

// end gives all up, and answers what there is.
func (p *player) end() {
	for _, o := range p.lives {
		p.giveUp(o)
		if errors.Is(o.err, engine.ErrUnsent) && p.wrote[o.hold] {
			p.t.Errorf("%s is said not to have left: %v", o.hold, o.err)
		}
	}
	for range 40 {
		p.collect()
		for len(p.open) > 0 {
			p.settle(nil)
		}
		<-time.After(labCall / 4)
	}
	for _, o := range p.lives {
		n := o.r.Copies.Load()
		if errors.Is(o.err, engine.ErrUnknown) { // who sent it counts one
			n++
		}
		if n < 0 {
			p.t.Errorf("%d requests of %s are under way", n, o.hold)
		}
	}
}
