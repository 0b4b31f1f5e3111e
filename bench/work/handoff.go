package work

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
)

// warmTurns is how many turns a client has had that counts as warm: a lock that
// finds out what its server is like has done so by then.
const warmTurns = 10

// HandOff is the work of a lock that goes from client to client, beside floors
// that are put to the same in the same way: as warm, and as cold.
func HandOff(rig *Rig, clients []int, d time.Duration) Work {
	w := Work{Work: result.Work{
		Key: "handoff", Title: "Hand-off over its floors, warm and cold", Loop: "closed loop, drain",
		About: fmt.Sprintf("A waiter a client. Warm: a closed loop without think time, once each client has had %d turns. Cold: a drain; each client "+
			"has been opened, has had the lock twice, and is idle until its one turn comes. From the call of Unlock to the return of the next "+
			"holder's Lock. The floors are run by the same loops: the first reads and writes what relock does, and expects no failure; the "+
			"second is a message alone.", warmTurns),
		Metrics: []result.Metric{result.P50, result.P99, result.Commands, result.ServerCPU},
		Ratio:   result.P50,
	}}
	floors := []rival.Kind{rival.HandOffWrites, rival.PublishTurns()}
	kinds := []rival.Kind{rival.Relock}
	for _, n := range clients {
		c := Contest{Crowd: eachItsOwn(n)}
		d := max(d, c.turns(4*warmTurns))
		warm := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return closed(ctx, rig, k, c, d, warmTurns)
		}
		cold := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return drain(ctx, rig, k, c.Crowd, 0)
		}
		w.Points = append(w.Points,
			Point{fmt.Sprintf("warm, %d clients", n), map[string]float64{"clients": float64(n), "warm": 1}, entrantsOf(floors, kinds, warm)},
			Point{fmt.Sprintf("cold, %d clients", n), map[string]float64{"clients": float64(n), "warm": 0}, entrantsOf(floors, kinds, cold)},
		)
	}
	return w
}
