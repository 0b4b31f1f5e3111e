package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/relock-go/relock/faults/chaos"
)

var (
	errUpdateLost   = errors.New("an update was lost though a Guard kept the data")
	errNothingShown = errors.New("less than 1 % of the updates was lost without a Guard: nothing was shown")
)

// plainShare is how many of the read-modify-writes are done without a Guard: it
// takes few to see some lost.
const plainShare = 5

// fence runs the same workers with the same stops without a Guard and with one.
func (o *options) fence(ctx context.Context, out io.Writer, writes int) error {
	var all []*chaos.Fenced
	for _, plain := range []bool{true, false} {
		n := writes
		if plain {
			n /= plainShare
		}
		done, err := o.fenceOne(ctx, plain, n)
		if err != nil {
			return err
		}
		all = append(all, done)
		fmt.Fprintf(out, "seed %d, guard %v: %d read-modify-writes acknowledged, %d refused, workers stopped past their lease %d times, %d updates lost (%.2f %%)\n",
			o.seed, done.Guard, done.Writes, done.Refused, done.Stops, done.Lost, 100*float64(done.Lost)/float64(done.Writes))
	}
	if o.json != "" {
		data, err := json.MarshalIndent(all, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(data, '\n'), 0o600); err != nil {
			return err
		}
	}
	switch {
	case all[1].Lost > 0:
		return errUpdateLost
	case all[0].Lost*100 < all[0].Writes:
		return errNothingShown
	}
	return nil
}

func (o *options) fenceOne(ctx context.Context, plain bool, writes int) (*chaos.Fenced, error) {
	dir, err := os.MkdirTemp("", "relock-fencing-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c := chaos.Config{Workers: o.workers, Actors: o.actors, Shared: 16, Plain: plain}
	return chaos.Fence(ctx, c, o.seed, dir, writes)
}
