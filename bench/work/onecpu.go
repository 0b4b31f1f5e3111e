package work

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
)

// OneCPU is the work of one goroutine where client and server share one CPU: what
// either does then takes its time from the pair.
func OneCPU(rig *Rig, d time.Duration) Work {
	run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) { return pairs(ctx, rig, k, 1, d) }
	return Work{
		Work: result.Work{
			Key: "onecpu", Title: "Uncontended pairs on one CPU", Loop: "closed loop of one",
			About: "One goroutine takes and gives back a lock that nobody else wants. This process, with GOMAXPROCS=1, and the server are held to one CPU: " +
				"nothing is done beside the other.",
			Metrics: []result.Metric{result.P50, result.P99, result.Pairs, result.ClientCPU, result.ServerCPU},
			Ratio:   result.P50,
		},
		Prepare: func(ctx context.Context) (func(), error) { return oneCPU(ctx, rig) },
		Points: []Point{{
			Label: "1 goroutine", At: map[string]float64{"goroutines": 1},
			Entrants: entrantsOf([]rival.Kind{rival.BareSame, rival.Bare, rival.SetNX, rival.Writes},
				[]rival.Kind{rival.Relock, rival.Redsync, rival.Redislock100, rival.Rueidislock}, run),
		}},
	}
}

// oneCPU holds this process and the server to one CPU.
func oneCPU(ctx context.Context, rig *Rig) (undo func(), err error) {
	pid, err := rig.Main.PID(ctx)
	if err != nil {
		return nil, err
	}
	freeServer, err := pin(pid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSkipped, err)
	}
	freeClient, err := pin(0)
	if err != nil {
		freeServer()
		return nil, fmt.Errorf("%w: %w", errSkipped, err)
	}
	procs := runtime.GOMAXPROCS(1)
	return func() {
		runtime.GOMAXPROCS(procs)
		freeClient()
		freeServer()
	}, nil
}
