package leash

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type turn struct {
		now, until int
		gone       bool
		want       action
		again      int
	}
	for name, turns := range map[string][]turn{
		"asked at the grace before the end, killed at the margin before it": {
			{now: 0, until: 1000, want: nothing, again: 700},
			{now: 699, until: 1000, want: nothing, again: 700},
			{now: 700, until: 1000, want: term, again: 900},
			{now: 899, until: 1000, want: nothing, again: 900},
			{now: 900, until: 1000, want: kill, again: 900},
		},
		"a renewal moves both": {
			{now: 0, until: 1000, want: nothing, again: 700},
			{now: 700, until: 1300, want: nothing, again: 1000},
			{now: 1000, until: 1300, want: term, again: 1200},
		},
		"a renewal after it was asked does not keep it": {
			{now: 700, until: 1000, want: term, again: 900},
			{now: 750, until: 2000, want: nothing, again: 900},
			{now: 900, until: 2000, want: kill, again: 900},
		},
		"after a stop past the end it is killed at once": {
			{now: 0, until: 1000, want: nothing, again: 700},
			{now: 5000, until: 1000, gone: true, want: kill, again: 5000},
		},
		"after a stop into the grace it has what is left of it": {
			{now: 850, until: 1000, want: term, again: 900},
		},
		"a lease that was taken away gives the grace, not what is left": {
			{now: 100, until: 10_000, gone: true, want: term, again: 300},
			{now: 300, until: 10_000, gone: true, want: kill, again: 300},
		},
		"a lease that was taken away near its end gives no more than that": {
			{now: 850, until: 1000, gone: true, want: term, again: 900},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := schedule{grace: 200 * time.Millisecond, margin: 100 * time.Millisecond}
			for _, turn := range turns {
				got, again := s.next(at(turn.now), at(turn.until), turn.gone)
				if got != turn.want || !again.Equal(at(turn.again)) {
					t.Errorf("at %d ms: got %v and again at %v, want %v and %d ms",
						turn.now, got, again.Sub(start), turn.want, turn.again)
				}
			}
		})
	}
}
