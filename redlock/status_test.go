package redlock

import (
	"testing"

	"github.com/relock-go/relock/internal/engine"
)

// What a quorum knows of an owner's holds is so, whatever the nodes that lag say.
func TestSummaryCountsWhatAQuorumKnows(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts []int // of the nodes that answered; 0: free
		want   int
	}{
		{"all alike", []int{2, 2, 2, 2, 2}, 2},
		{"two have not heard of the last Lock", []int{3, 3, 4, 4, 4}, 4},
		{"two have not heard of the last Unlock", []int{4, 4, 3, 3, 3}, 3},
		{"two are silent", []int{4, 4, 4}, 4},
		{"two never had it", []int{0, 0, 2, 2, 2}, 2},
		{"two have not heard of the end", []int{0, 0, 0, 1, 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []engine.Status
			for _, n := range c.counts {
				all = append(all, engine.Status{Held: n > 0, Owner: "x", Count: n, Token: 7})
			}
			if got := summary(all, 3); got.Count != c.want || got.Held != (c.want > 0) {
				t.Errorf("got %+v, want %d holds", got, c.want)
			}
		})
	}
}
