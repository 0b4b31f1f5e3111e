package queue

import (
	"slices"
	"testing"
)

var stateNames = [states]string{"Gone", "Parked", "Asking", "Successor", "Queued", "Granted", "Failed", "Held"}

var kindNames = [kinds]string{
	"Entered", "Sending", "GotGrant", "GotPlace", "GotTaken", "GotNothing", "GotTombstone", "GotNoAnswer", "GotError", "Listened",
	"Pushed", "Nudged", "Interval", "Resubscribed", "Forced", "TooOld", "Took", "GaveUp", "Released", "Ended",
}

// A coverage counts the pairs of state and event that came.
type coverage struct {
	pair   [states][kinds]int
	strays int
}

func (c *coverage) visit(s State, k Kind) { c.pair[s][k]++ }

// everywhereBut returns all other states.
func everywhereBut(but ...State) (others []State) {
	for s := range State(states) {
		if !slices.Contains(but, s) {
			others = append(others, s)
		}
	}
	return others
}

// neverComes are the pairs of state and event that no exploration sees, and why
// there are none.
var neverComes = []struct {
	kind   Kind
	states []State
	why    string
}{
	{Entered, everywhereBut(Gone), "a call enters once"},
	{Sending, everywhereBut(Asking), "a goroutine looks at the state and sends under one mutex"},
	{GotGrant, []State{Parked}, nothingKnown},
	{GotPlace, []State{Parked}, nothingKnown},
	{GotTaken, []State{Parked}, nothingKnown},
	{GotNothing, []State{Parked}, nothingKnown},
	{GotTombstone, []State{Parked}, nothingKnown},
	{GotNoAnswer, []State{Parked}, nothingKnown},
	{GotError, []State{Parked}, nothingKnown},
	{Pushed, []State{Parked}, nothingKnown},
	{Nudged, []State{Parked}, nothingKnown},
	{GotTaken, []State{Successor, Queued}, "a release that names it, and a check-in, join the queue"},
	{GotTaken, []State{Failed, Held, Gone}, "it answers a goroutine's own request, which has no state but these before the answer: Asking, Granted"},
	{GotNothing, []State{Asking}, "several locks that are had together or not at all are not explored"},
	{GotNothing, []State{Queued}, "the server has a place of it, or says that it has granted"},
	{GotNothing, []State{Failed}, "a release that hands nothing over is the first that could have made it known"},
	{GotTombstone, everywhereBut(Parked, Gone), "nothing withdraws a hold that is waited for, or had"},
	{Listened, everywhereBut(Asking, Granted), "its goroutine does nothing else meanwhile"},
	{TooOld, everywhereBut(Granted), "it is about a grant that its goroutine has seen"},
	{Took, everywhereBut(Granted), "it is about a grant that its goroutine has seen"},
	{GaveUp, []State{Held}, "a lease is Released, or has Ended"},
	{Released, everywhereBut(Held), "there is no lease"},
	{Ended, everywhereBut(Held), "there is no lease"},
}

const nothingKnown = "nothing about one that is parked was sent"

// check compares the pairs that came with those that are said not to.
func (c *coverage) check(t *testing.T) {
	t.Helper()
	reasons, came := map[[2]uint8]string{}, 0
	for _, n := range neverComes {
		for _, s := range n.states {
			reasons[[2]uint8{uint8(s), uint8(n.kind)}] = n.why
		}
	}
	for s := range State(states) {
		for k := range Kind(kinds) {
			why := reasons[[2]uint8{uint8(s), uint8(k)}]
			switch visits := c.pair[s][k]; {
			case visits == 0 && why == "":
				t.Errorf("%s never comes in %s, and nothing says why", kindNames[k], stateNames[s])
			case visits > 0 && why != "":
				t.Errorf("%s comes in %s, which is said not to be: %s", kindNames[k], stateNames[s], why)
			case visits > 0:
				came++
			}
		}
	}
	if c.strays == 0 {
		t.Error("no grant was nobody's")
	}
	t.Logf("%d of %d pairs of state and event came; each of the others has a reason", came, states*int(kinds))
}
