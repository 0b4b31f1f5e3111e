package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/faults/work"
)

// Fenced is what became of read-modify-writes whose holders are stopped past
// their leases again and again.
type Fenced struct {
	Guard   bool          `json:"guard"`
	Stops   int           `json:"stops"`   // workers stopped between a read and its write
	Writes  int           `json:"writes"`  // acknowledged
	Refused int           `json:"refused"` // by the Guard
	Lost    int           `json:"lost"`    // acknowledged, and overwritten by one that had not read them
	Took    time.Duration `json:"took"`
}

// Fence stops workers, one after the other, between a read and its write, until
// so many read-modify-writes are in the store. Each adds one to a number: what
// the numbers lack in the end was lost.
func Fence(ctx context.Context, c Config, seed uint64, dir string, writes int) (*Fenced, error) {
	start := time.Now()
	r, err := rig.Start(ctx, rig.Standalone)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c.Steady = true
	f, err := NewField(ctx, r, c, seed, dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	done := &Fenced{Guard: !c.Plain}
	for n := 0; n < writes; {
		w := history.Window{}
		if err := f.stopInside(ctx, &w); err != nil {
			return nil, err
		}
		done.Stops += w.Hits
		if n, err = f.written(ctx); err != nil {
			return nil, err
		}
	}
	f.Finish()
	if v := f.Verdict.Violations; len(v) > 0 {
		return nil, fmt.Errorf("chaos: %v", v[0])
	}
	done.Took = time.Since(start)
	return done, f.tally(ctx, done)
}

// written is how many writes the store has applied.
func (f *Field) written(ctx context.Context) (n int, err error) {
	for _, name := range f.Shared {
		one, err := f.admin(f.Rig.Store).LLen(ctx, work.LogKey(name)).Result()
		if err != nil {
			return 0, err
		}
		n += int(one)
	}
	return n, nil
}

// tally compares what was acknowledged with what the store has in the end.
func (f *Field) tally(ctx context.Context, done *Fenced) error {
	events, err := history.ReadAll(f.dir)
	if err != nil {
		return err
	}
	for i := range events {
		e := &events[i]
		switch {
		case e.Op == history.Write && e.Result == history.OK:
			done.Writes++
		case e.Result == history.Stale:
			done.Refused++
		}
	}
	for _, name := range f.Shared {
		n, err := f.admin(f.Rig.Store).Get(ctx, work.DataKey(name)).Int()
		if err != nil {
			return err
		}
		done.Lost -= n
	}
	applied, err := f.written(ctx)
	done.Lost += applied
	if err == nil && applied < done.Writes {
		err = fmt.Errorf("chaos: %d writes were acknowledged and %d applied", done.Writes, applied)
	}
	return err
}
