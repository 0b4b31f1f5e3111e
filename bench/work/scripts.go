package work

import (
	"context"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
)

// Scripts is the work of the server alone: how long it executes scripts.
func Scripts(rig *Rig, d time.Duration) Work {
	pair := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) { return pairs(ctx, rig, k, 1, d) }
	two := Contest{Crowd: eachItsOwn(2)}
	handOff := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
		return closed(ctx, rig, k, two, d, warmTurns)
	}
	floor := entrantsOf([]rival.Kind{rival.BareHandOff}, nil, pair)
	return Work{
		Work: result.Work{
			Key: "scripts", Title: "Script time", Loop: "closed loop",
			About: "How long the server executes scripts (INFO commandstats: EVALSHA, EVAL), over scripts that do nothing and have the same keys and " +
				"arguments. Pair: one goroutine, a free lock. Hand-off: two clients contend in a closed loop; an acquire that waits and a " +
				"release that passes the lock on, or what else they need for a section.",
			Metrics: []result.Metric{result.ScriptTime, result.Commands, result.ServerCPU},
			Ratio:   result.ScriptTime,
		},
		Points: []Point{
			{"pair", map[string]float64{"clients": 1}, entrantsOf([]rival.Kind{rival.BareSame, rival.Writes}, []rival.Kind{rival.Relock}, pair)},
			{
				"hand-off",
				map[string]float64{"clients": 2},
				append(floor, entrantsOf([]rival.Kind{rival.HandOffWrites}, []rival.Kind{rival.Relock}, handOff)...),
			},
		},
	}
}
