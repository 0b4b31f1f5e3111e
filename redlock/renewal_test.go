package redlock

import (
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A late vote of a node that has accepted a greater token counts once a quorum
// without it was renewed, whether its own answer comes before that or after.
func TestALateVoteCountsOnceAQuorumIsSeenWithoutIt(t *testing.T) {
	const late = 1
	for name, order := range map[string][]int{"before": {late, 0, 2}, "after": {0, 2, late}} {
		t.Run(name, func(t *testing.T) {
			q := &quorum{peers: []*peer{{addr: "a"}, {addr: "b"}, {addr: "c"}}, need: 2, claims: map[string]*claim{}}
			q.roster = &roster{q: q}
			c := q.claim("hold")
			c.try = &try{id: "hold/1", phase: held, votes: make([]vote, len(q.peers))}
			for i := range c.try.votes {
				c.try.votes[i].state, c.try.votes[i].counts = granted, i != late
				c.try.votes[i].end = time.Now().Add(time.Minute)
			}
			// renewal returns what comes of one in which the peers in order have the hold,
			// and the others do not.
			renewal := func(order ...int) engine.State {
				var got engine.Answer
				n := q.newRenewal(&engine.Renewal{Hold: "hold", TTL: time.Minute}, func(ans engine.Answer, err error) {
					if err != nil {
						t.Error(err)
					}
					got = ans
				})
				absent := map[int]bool{0: true, 1: true, 2: true}
				for _, i := range order {
					absent[i] = false
				}
				for i := range q.peers {
					if absent[i] {
						n.answer(i, engine.Answer{}, nil)
					}
				}
				for _, i := range order {
					n.answer(i, engine.Answer{State: engine.Granted, Sent: time.Now(), Left: time.Minute}, nil)
				}
				return got.State
			}
			if got := renewal(late, 0); got == engine.Granted {
				t.Fatal("renewed by a late vote and one other")
			}
			if got := renewal(order...); got != engine.Granted {
				t.Fatal("not renewed by all")
			}
			if got := renewal(late, 0); got != engine.Granted {
				t.Error("not renewed by a late vote that was seen beside a quorum")
			}
		})
	}
}

// A hold begins with the votes of a quorum. One that loses a vote while the others
// are under way is not lost yet; once they have had their time it is.
func TestAHoldIsNotLostWhileItsVotesAreUnderWay(t *testing.T) {
	q := &quorum{peers: []*peer{{addr: "a"}, {addr: "b"}, {addr: "c"}}, need: 2, claims: map[string]*claim{}}
	q.roster = &roster{q: q}
	c := q.claim("hold")
	c.try = &try{id: "hold/1", phase: held, votes: make([]vote, len(q.peers))}
	for i := range 2 {
		c.try.votes[i] = vote{state: granted, counts: true, end: time.Now().Add(time.Minute), under: 1} // no mending in between
	}
	late := &c.try.votes[2]
	late.under = 1
	// renewal returns what comes of one that finds the hold on the first node only,
	// and on the last once it has voted.
	renewal := func() (got engine.Answer, err error) {
		n := q.newRenewal(&engine.Renewal{Hold: "hold", TTL: time.Minute}, func(ans engine.Answer, e error) { got, err = ans, e })
		n.answer(0, engine.Answer{State: engine.Granted, Sent: time.Now(), Left: time.Minute}, nil)
		n.answer(1, engine.Answer{}, nil)
		if n.at(2) {
			n.answer(2, engine.Answer{State: engine.Granted, Sent: time.Now(), Left: time.Minute}, nil)
		}
		return got, err
	}
	if ans, err := renewal(); !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("a vote is under way: got %+v and %v, want ErrUnknown", ans, err)
	}
	c.try.spread = true
	if ans, err := renewal(); ans.State != engine.Absent || err != nil {
		t.Errorf("it does not come: got %+v and %v, want a hold that is gone", ans, err)
	}
	late.state, late.counts, late.end = granted, true, time.Now().Add(time.Minute)
	if ans, err := renewal(); ans.State != engine.Granted || err != nil {
		t.Errorf("it has come: got %+v and %v, want a renewal", ans, err)
	}
}
