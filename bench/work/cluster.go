package work

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/server"
)

// OnCluster is the work of many names on a Redis Cluster.
func OnCluster(rig *Rig, goroutines []int, d time.Duration) Work {
	var cluster *server.Cluster
	w := Work{
		Work: result.Work{
			Key: "cluster", Title: "Many names on a Cluster of 3", Loop: "closed loop",
			About: "Goroutines of one ClusterClient take and give back a lock each, on three masters with a replica each, which share this machine. " +
				"CPU of the servers is that of the masters.",
			Metrics: []result.Metric{result.Pairs, result.P50, result.P99, result.ClientCPU, result.ServerCPU, result.Allocs, result.Commands},
			Ratio:   result.Pairs,
		},
		Prepare: func(ctx context.Context) (func(), error) {
			var err error
			if cluster, err = server.StartCluster(ctx); err != nil {
				return nil, err
			}
			return cluster.Stop, nil
		},
	}
	for _, n := range goroutines {
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			f, err := rig.openOn(ctx, cluster.Masters, k, 1, func(env *rival.Env) { env.Cluster = true })
			if err != nil {
				return nil, err
			}
			defer f.close()
			// A node that hears of a script for the first time says so: that is no
			// error of this run.
			if err := f.teach(ctx); err != nil {
				return nil, err
			}
			return f.pairs(ctx, n, d)
		}
		w.Points = append(w.Points, Point{
			Label: fmt.Sprintf("%d goroutines", n), At: map[string]float64{"goroutines": float64(n)},
			Entrants: entrantsOf([]rival.Kind{rival.Bare, rival.BareSame}, rival.Clustered(), run),
		})
	}
	return w
}

// teach has every node know the scripts of a pair.
func (f *fleet) teach(ctx context.Context) error {
	return each(16*len(f.servers), func(int) error { return pair(ctx, f.locker(0, f.rig.fresh("teach"))) })
}
