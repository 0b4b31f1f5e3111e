package redlock

import (
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// heldBy returns a quorum of three nodes, and a hold that the first n of them have.
func heldBy(n int) (*quorum, *attempt) {
	q := &quorum{peers: []*peer{{addr: "a"}, {addr: "b"}, {addr: "c"}}, need: 2, drivers: map[string]*driver{}}
	q.membership = &membership{q: q}
	t := &attempt{id: "hold/1", phase: held, votes: make([]vote, len(q.peers))}
	for i := range n {
		t.votes[i].says, t.votes[i].end = counted, time.Now().Add(time.Minute)
	}
	q.driverOf("hold").request.current = t
	return q, t
}

// A late vote of a node that has accepted a greater token counts once a quorum
// without it was renewed, whether its own answer comes before that or after.
func TestALateVoteCountsOnceAQuorumIsSeenWithoutIt(t *testing.T) {
	const late = 1
	for name, order := range map[string][]int{"before": {late, 0, 2}, "after": {0, 2, late}} {
		t.Run(name, func(t *testing.T) {
			q, hold := heldBy(3)
			hold.votes[late].says = yes
			// renewal returns what comes of one in which the peers in order have the hold,
			// and the others do not.
			renewal := func(order ...int) engine.State {
				var got engine.Answer
				n := q.renewal(&engine.Renewal{Hold: "hold", TTL: time.Minute}, func(ans engine.Answer, err error) {
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
						n.renewed(i, engine.Answer{}, nil)
					}
				}
				for _, i := range order {
					n.renewed(i, engine.Answer{State: engine.Granted, Sent: time.Now(), Left: time.Minute}, nil)
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
	q, held := heldBy(2)
	for i := range held.votes {
		held.votes[i].link = asking // no repair in between
	}
	// renewal returns what comes of one that finds the hold on the first node only,
	// and on the last once it has voted.
	renewal := func() (got engine.Answer, err error) {
		n := q.renewal(&engine.Renewal{Hold: "hold", TTL: time.Minute}, func(ans engine.Answer, e error) { got, err = ans, e })
		n.renewed(0, engine.Answer{State: engine.Granted, Sent: time.Now(), Left: time.Minute}, nil)
		n.renewed(1, engine.Answer{}, nil)
		if n.asks(2) {
			n.renewed(2, engine.Answer{State: engine.Granted, Sent: time.Now(), Left: time.Minute}, nil)
		}
		return got, err
	}
	if ans, err := renewal(); !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("a vote is under way: got %+v and %v, want ErrUnknown", ans, err)
	}
	held.phase = spread
	if ans, err := renewal(); ans.State != engine.Absent || err != nil {
		t.Errorf("it does not come: got %+v and %v, want a hold that is gone", ans, err)
	}
	held.votes[2].says, held.votes[2].end = counted, time.Now().Add(time.Minute)
	if ans, err := renewal(); ans.State != engine.Granted || err != nil {
		t.Errorf("it has come: got %+v and %v, want a renewal", ans, err)
	}
}

// A vote that ran out is asked for again. Where that has no answer nobody knows what
// the node has accepted meanwhile, so it counts no more than before.
func TestAVoteThatRanOutAndIsNotAnsweredDoesNotCount(t *testing.T) {
	q, hold := heldBy(3)
	hold.answer.Token = 7
	v := &hold.votes[0]
	v.answer.Token, v.link = 7, asking
	v.lapse()
	d := q.driverOf("hold")
	d.request.outboxes[0].letters = []letter{{attempt: hold}}
	d.request.step(&event{kind: answered, attempt: hold, node: 0, err: engine.ErrUnknown}, time.Now())
	if v.says != yes {
		t.Errorf("got a vote that says %d, want one that does not count", v.says)
	}
}
