package chaos

import (
	"slices"
	"testing"
	"time"

	"github.com/relock-go/relock/faults/history"
)

func TestAFailoverByItselfIsKnownForWhatItIs(t *testing.T) {
	second := func(n float64) int64 { return int64(n * float64(time.Second)) }
	asked := history.Window{Kind: "planned failover", Start: second(10), End: second(12), Hits: 1, Lossy: true, Failover: true}
	refused := history.Window{Kind: "planned failover", Start: second(10), End: second(10.01), Lossy: true}
	flushed := history.Window{Kind: "FLUSHALL", Start: second(10), End: second(10.01), Hits: 1, Lossy: true}
	for _, c := range []struct {
		name    string
		windows []history.Window
		changes []int64
		unasked int
	}{
		{"in a failover that was asked for", []history.Window{asked}, []int64{second(11), second(12)}, 0},
		{"seen late", []history.Window{asked}, []int64{second(13.5)}, 0},
		{"long after one", []history.Window{asked}, []int64{second(15)}, 1},
		{"before one", []history.Window{asked}, []int64{second(9)}, 1},
		{"after one that was refused", []history.Window{refused}, []int64{second(11)}, 1},
		{"after another fault that loses locks", []history.Window{flushed}, []int64{second(11)}, 1},
		{"two servers change their roles in one", nil, []int64{second(11), second(11.5)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			over := make(chan struct{})
			close(over)
			w := &roleWatch{changes: c.changes, stop: func() {}, over: over}
			added := w.unasked(slices.Clone(c.windows))[len(c.windows):]
			if len(added) != c.unasked {
				t.Fatalf("got %d windows more, want %d: %+v", len(added), c.unasked, added)
			}
			for _, w := range added {
				if w.Kind != Unasked || !w.Lossy || !w.Failover || w.Start >= c.changes[0] || w.End <= c.changes[len(c.changes)-1] {
					t.Errorf("got %+v for changes at %v", w, c.changes)
				}
			}
		})
	}
}
