package cached

import (
	"slices"
	"testing"
)

var stateNames = [states]string{"Over", "Asked", "Busy", "Idle", "Renewing", "Returning"}

var eventNames = [kinds]string{
	"Sent", "Began", "Wanted", "Reentered", "Ended", "Recalled", "Unsubscribed", "Dropped", "Due", "Renewed", "Unrenewed", "Gone", "Returned",
}

// everywhereBut returns all other states.
func everywhereBut(but ...State) (others []State) {
	for s := range State(states) {
		if !slices.Contains(but, s) {
			others = append(others, s)
		}
	}
	return others
}

// neverComes are the pairs of state and event that the model does not come to, and
// why.
var neverComes = []struct {
	kind   Kind
	states []State
	why    string
}{
	{Sent, everywhereBut(Over), "it is the first request"},
	{Began, everywhereBut(Asked), "a hold begins once"},
	{Reentered, everywhereBut(Busy), "there is no section"},
	{Ended, everywhereBut(Busy), "there is no lease, or it is lost"},
	{Dropped, everywhereBut(), "it is as Recalled"},
	{Due, everywhereBut(Idle), "the model's timers are not late"},
	{Renewed, []State{Over, Returning}, "an answer that nobody minds is dropped on its way"},
	{Unrenewed, []State{Over, Returning}, "an answer that nobody minds is dropped on its way"},
	{Renewed, []State{Asked}, "nothing has renewed it"},
	{Unrenewed, []State{Asked}, "nothing has renewed it"},
	{Gone, []State{Over, Returning}, "an answer that nobody minds is dropped on its way"},
	{Returned, everywhereBut(Returning), "no release of it is under way"},
}

// checkEvents compares the pairs that came with those that are said not to.
func checkEvents(t *testing.T, came *[states][kinds]int) {
	t.Helper()
	for s := range State(states) {
		for k := range Kind(kinds) {
			why := ""
			for _, n := range neverComes {
				if n.kind == k && slices.Contains(n.states, s) {
					why = n.why
				}
			}
			switch {
			case came[s][k] == 0 && why == "":
				t.Errorf("%s never comes in %s, and nothing says why", eventNames[k], stateNames[s])
			case came[s][k] > 0 && why != "":
				t.Errorf("%s comes in %s, which is said not to be: %s", eventNames[k], stateNames[s], why)
			}
		}
	}
}
