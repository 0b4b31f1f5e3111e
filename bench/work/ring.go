package work

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/server"
	"github.com/relock-go/relock/bench/stats"
)

// ringName is the floor of every hand-off: it cannot be had for less, as long as
// a message is what wakes the next holder.
const ringName = "floor: PUBLISH to receive"

var ringKind = rival.Kind{
	Name:     ringName,
	Settings: "clients pass a message round: each receives it and runs a script that publishes to the next one's channel; no lock",
	Commands: []string{"evalsha", "eval"},
}

var publish = redis.NewScript("return redis.call('PUBLISH', KEYS[1], ARGV[1])")

// ring passes a message round n clients for so many hand-offs, each of which
// keeps it for hold.
func ring(ctx context.Context, rig *Rig, n, handoffs int, hold time.Duration) (result.Sample, error) {
	f := &fleet{rig: rig, kind: ringKind, servers: []*server.Server{rig.Main}, hook: rival.NewHook(nil)}
	rdbs, subs, err := openRing(ctx, rig.Main.Addr, n)
	defer func() {
		for i, rdb := range rdbs {
			_ = subs[i].Close()
			_ = rdb.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	lat := stats.NewHist()
	pass := func(i int) error {
		if hold > 0 {
			_ = rest(ctx, hold)
		}
		began := time.Now()
		if err := publish.Run(ctx, rdbs[i%n], []string{channel((i + 1) % n)}, strconv.Itoa(i)).Err(); err != nil {
			return err
		}
		// The script's reply and the message race, as they do in a lock: both must
		// come, and the message is what counts. Its arrival is noted by its reader.
		select {
		case at := <-subs[(i+1)%n].arrived:
			lat.Record(at.Sub(began))
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for i := range 2 * n {
		if err := pass(i); err != nil {
			return nil, fmt.Errorf("warm-up: %w", err)
		}
	}
	lat = stats.NewHist()
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	for i := range handoffs {
		if err := pass(i); err != nil {
			return nil, err
		}
	}
	u, err := stop()
	sections := float64(handoffs)
	return result.Sample{
		result.P50: lat.Micros(50), result.P99: lat.Micros(99), result.Commands: u.commands() / sections,
		result.ServerCPU: micros(u.CPU) / sections, result.Pairs: sections / u.took.Seconds(),
	}, err
}

// ear is one subscription of the ring, with its reader.
type ear struct {
	*redis.PubSub
	arrived chan time.Time
}

func channel(i int) string { return "ring:" + strconv.Itoa(i) }

func openRing(ctx context.Context, addr string, n int) (rdbs []*redis.Client, subs []ear, err error) {
	for i := range n {
		rdb := rival.Dial(addr)
		e := ear{rdb.Subscribe(ctx, channel(i)), make(chan time.Time, 1)}
		rdbs, subs = append(rdbs, rdb), append(subs, e)
		if _, err := e.Receive(ctx); err != nil {
			return rdbs, subs, err
		}
		go func() {
			for {
				if _, err := e.ReceiveMessage(context.Background()); err != nil {
					return
				}
				e.arrived <- time.Now()
			}
		}()
	}
	return rdbs, subs, nil
}
