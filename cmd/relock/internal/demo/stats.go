package demo

import (
	"cmp"
	"slices"
	"time"

	"github.com/relock-go/relock/internal/stats"
)

// grant is one section, as its worker told it.
type grant struct {
	token     int64
	worker    int
	goroutine int
	arrived   int64 // unix ns: Lock was called
	acquired  int64 // unix ns: Lock returned
	unlocked  int64 // unix ns: Unlock was called; 0: never, or the lease was lost
}

func byToken(a, b grant) int { return cmp.Compare(a.token, b.token) }

// handoffs returns how long the lock took from an Unlock to the next holder's
// running, for holders that were waiting by then: within a process, and from one
// process to another. The grants are in the order of their tokens.
func handoffs(grants []grant) (within, across []time.Duration) {
	for i := 1; i < len(grants); i++ {
		last, next := grants[i-1], grants[i]
		if last.unlocked == 0 || next.arrived > last.unlocked {
			continue
		}
		d := time.Duration(next.acquired - last.unlocked)
		if last.worker == next.worker {
			within = append(within, d)
		} else {
			across = append(across, d)
		}
	}
	return within, across
}

// undisturbed returns the grants whose wait did not touch the time in which a
// worker was stopped: who waits for a stopped holder waits for its lease.
func undisturbed(grants []grant, from, to int64) []grant {
	return slices.DeleteFunc(slices.Clone(grants), func(g grant) bool {
		return g.acquired >= from && g.arrived <= to
	})
}

// fairness is how evenly the goroutines were served.
type fairness struct {
	jain          float64
	longest, mean time.Duration // of the waits
}

func fairnessOf(grants []grant, workers, goroutines int) fairness {
	if len(grants) == 0 {
		return fairness{}
	}
	shares := make([]float64, workers*goroutines)
	var f fairness
	var total time.Duration
	for _, g := range grants {
		shares[(g.worker-1)*goroutines+g.goroutine-1]++
		waited := time.Duration(g.acquired - g.arrived)
		total += waited
		f.longest = max(f.longest, waited)
	}
	f.jain, f.mean = stats.Jain(shares), total/time.Duration(len(grants))
	return f
}
