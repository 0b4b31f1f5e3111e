package redlock

import (
	"fmt"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Rules that the exploration does not come to, since it has three nodes: there more
// than one vote is a quorum.

// fiveNodes are the facts of a waiter on five nodes, each of which has a vote and
// answers.
type fiveNodes struct{ yield bool }

func (fiveNodes) refuses(int) error     { return nil }
func (fiveNodes) owes(int) int          { return 0 }
func (fiveNodes) order() []int          { return []int{0, 1, 2, 3, 4} }
func (fiveNodes) contended(string) bool { return true }
func (f fiveNodes) yields() bool        { return f.yield }
func (fiveNodes) need() int             { return majority(5) }
func (fiveNodes) addr(i int) string     { return fmt.Sprint("node-", i) }

func (fiveNodes) propose(*engine.Request, time.Time) engine.Proposal {
	return engine.Proposal{Token: 1}
}
func (fiveNodes) patience(time.Duration) time.Duration { return time.Second }
func (fiveNodes) least(time.Duration) time.Duration    { return time.Second }
func (fiveNodes) callTimeout(int) time.Duration        { return time.Second }

var start = time.Unix(1000, 0)

// asksAt has the manager ask for the hold.
func asksAt(r *request, now time.Time) {
	r.step(&event{kind: asked, asks: &engine.Request{
		Name: "a", Hold: r.hold, TTL: time.Minute, Life: 9 * time.Second, Wait: true,
	}}, now)
}

// told has node i answer the attempt that counts: it has granted, or holder has it.
func told(r *request, i int, holder string) {
	ans := engine.Answer{State: engine.Granted, Token: 1, Count: 1, Left: time.Minute, Sent: start}
	if holder != "" {
		ans = engine.Answer{State: engine.Waiting, Owner: holder, Token: 1, Left: time.Minute, Sent: start}
	}
	r.step(&event{kind: answered, attempt: r.current, node: i, answer: ans}, start)
}

// collects returns a request whose turn it is at the coordinator, and what each node
// has said to that.
func collects(f fiveNodes, holders [5]string) *request {
	r := newRequest(f, "hold", "1", len(holders))
	asksAt(&r, start)
	told(&r, 0, "")
	for i, holder := range holders {
		told(&r, i, holder)
	}
	return &r
}

// Two that collect at once may each have what the other lacks. So one that is stuck
// for long gives back what it has, if chance says so; and not where another has a
// quorum, whose release is to be waited for.
func TestWhoeverIsStuckWithSplitVotesGivesWayByChance(t *testing.T) {
	split, quorum, minority := [5]string{"", "", "b", "b", "c"}, [5]string{"", "", "b", "b", "b"}, [5]string{"", "b", "b", "c", "c"}
	const long, short = 4 * time.Second, time.Second
	for _, test := range []struct {
		name    string
		holders [5]string
		chance  bool
		after   time.Duration
		want    bool
	}{
		{"it is stuck", split, true, long, true},
		{"chance says no", split, false, long, false},
		{"not for long", split, true, short, false},
		{"another has a quorum", quorum, true, long, false},
		{"it has nothing that another lacks", minority, true, long, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := collects(fiveNodes{test.chance}, test.holders)
			before := r.current
			asksAt(r, start.Add(test.after))
			if gives := r.current != before; gives != test.want {
				t.Fatalf("it gives way: %v", gives)
			}
			for i := range before.votes {
				if back := before.votes[i].back != kept; back != test.want {
					t.Errorf("node %d is told: %v", i, back)
				}
			}
			if test.want && (r.current.phase != joining || r.current.coordinator != 0) {
				t.Errorf("got phase %d at node %d, want it to queue at the coordinator", r.current.phase, r.current.coordinator)
			}
		})
	}
}

// A grant by message that comes after its attempt was given up says nothing of the
// next attempt, which has no vote yet.
func TestAGrantOfAFormerAttemptIsNotBelieved(t *testing.T) {
	r := collects(fiveNodes{true}, [5]string{"", "", "b", "b", "c"})
	former := r.current
	if asksAt(r, start.Add(4*time.Second)); r.current == former {
		t.Fatal("it did not give way")
	}
	r.step(&event{kind: returned, attempt: former, node: 0}, start)
	if told(r, 0, "b"); r.current.phase != queued {
		t.Fatalf("got phase %d, want an attempt that is queued", r.current.phase)
	}
	did := r.step(&event{kind: heard, id: former.id, node: 0}, start)
	if len(did.list) > 0 || r.current.phase != queued {
		t.Errorf("got phase %d, and %d things to do", r.current.phase, len(did.list))
	}
	r.step(&event{kind: heard, id: r.current.id, node: 0}, start)
	if r.current.phase != collecting {
		t.Errorf("got phase %d by its own grant", r.current.phase)
	}
}

// An answer may be from before a message that was lost, or that crosses it: the node
// is asked again once it is there.
func TestAnAnswerFromBeforeAMessageIsNotTheLastWord(t *testing.T) {
	for _, what := range []struct {
		name string
		kind eventKind
		want bool
	}{{"lost", recheck, true}, {"crosses", heard, true}, {"none", 0, false}} {
		t.Run(what.name, func(t *testing.T) {
			r := newRequest(fiveNodes{}, "hold", "1", 5)
			asksAt(&r, start)
			told(&r, 0, "") // its turn at the coordinator: it asks the others
			v := &r.current.votes[1]
			if v.link != asking {
				t.Fatalf("node 1 is not asked: %d", v.link)
			}
			if what.want {
				r.step(&event{kind: what.kind, id: r.current.id, node: 1}, start)
			}
			told(&r, 1, "b")
			if again := v.link == asking; again != what.want {
				t.Errorf("it is asked again: %v", again)
			}
		})
	}
}

// A vote that the hold lacks when it is extended is asked for as much at once.
func TestAVoteThatIsLackingAtAnExtensionIsAskedForAsMuch(t *testing.T) {
	r := newRequest(fiveNodes{}, "hold", "1", 5)
	asksAt(&r, start)
	for i := range 4 {
		told(&r, i, "")
	}
	r.step(&event{kind: answered, attempt: r.current, node: 4, err: engine.ErrUnsent}, start)
	r.repair(time.Hour)
	if v := &r.current.votes[4]; v.link != asking || v.ttl != time.Hour {
		t.Errorf("it is not asked for an hour: link %d, %v", v.link, v.ttl)
	}
}

// A vote that is under way when the hold is extended was asked for less, and is asked
// for once more.
func TestAVoteThatAnExtensionCrossesIsAskedForAsMuch(t *testing.T) {
	r := newRequest(fiveNodes{}, "hold", "1", 5)
	asksAt(&r, start)
	for i := range 4 {
		told(&r, i, "")
	}
	if !r.current.isHeld() {
		t.Fatalf("not held: phase %d", r.current.phase)
	}
	r.repair(time.Hour)
	told(&r, 4, "")
	if v := &r.current.votes[4]; v.link != asking || v.ttl != time.Hour {
		t.Fatalf("it is not asked again, for an hour: link %d, %v", v.link, v.ttl)
	}
	told(&r, 4, "")
	if v := &r.current.votes[4]; v.link != idle {
		t.Errorf("it is asked a third time")
	}
}
