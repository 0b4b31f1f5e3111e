package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/faults/work"
)

// Plan is one round: a fresh rig, with faults for a while, and the judgement.
type Plan struct {
	Topology rig.Topology
	Seed     uint64
	For      time.Duration
	Config   Config
	Dir      string // for everything that is worth keeping
	Tell     func(history.Window)
}

// Outcome is what a round found.
type Outcome struct {
	Topology rig.Topology     `json:"topology"`
	Seed     uint64           `json:"seed"`
	For      time.Duration    `json:"for"`
	Faults   map[string]int   `json:"faults"` // injected, by kind
	Strikes  map[string]int   `json:"strikes"`
	Verdict  *history.Verdict `json:"verdict"`
	Dir      string           `json:"dir"`
}

// Play runs a round.
func Play(ctx context.Context, p Plan) (*Outcome, error) {
	r, err := rig.Start(ctx, p.Topology)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	roles := watchRoles(r)
	defer roles.end()
	f, err := NewField(ctx, r, p.Config, p.Seed, p.Dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	failed := f.Run(ctx, p.For, p.Tell)
	f.Finish()
	f.FinalLocks(ctx)
	f.Windows = roles.unasked(f.Windows)
	o := &Outcome{Topology: p.Topology, Seed: p.Seed, For: p.For, Dir: p.Dir, Faults: map[string]int{}, Strikes: map[string]int{}}
	for i := range f.Windows {
		w := &f.Windows[i]
		if w.Hits > 0 {
			o.Faults[w.Kind]++
			o.Strikes[w.Kind] += w.Hits
		}
	}
	f.probes.close()
	f.Leftovers(ctx)
	if err := f.keep(ctx); err != nil {
		return nil, err
	}
	if o.Verdict, err = Judge(f.Rig.Topology, p.Config, f.dir); err != nil {
		return nil, err
	}
	o.Verdict.Merge(f.Verdict) // what the probes found
	return o, failed
}

// linger is a TTL before the grant and one after it, and the longest that a fault
// may keep the one from being withdrawn or the other from running out.
var linger = 2*Timing.TTL + 3*time.Second

// Judge checks the history in dir, of a round with this configuration. What the
// probes of the round found is not among it.
func Judge(t rig.Topology, c Config, dir string) (*history.Verdict, error) {
	h, err := history.Load(dir)
	if err != nil {
		return nil, err
	}
	bound := Timing.TTL + Timing.Check + time.Second
	return h.Check(history.Rules{
		Contended: c.contended(), HealBound: bound + Slack, LossSlack: Slack, Linger: linger,
		Quorum:  t == rig.Quorum,
		Timeout: 30 * time.Second, Pictures: dir,
	}), nil
}

// readStore reads the store's log of what it has applied.
func (f *Field) readStore(ctx context.Context) (map[string][]history.Entry, error) {
	c := f.admin(f.Rig.Store)
	keys, err := c.Keys(ctx, work.LogKey("*")).Result()
	if err != nil {
		return nil, err
	}
	logs := map[string][]history.Entry{}
	for _, key := range keys {
		lines, err := c.LRange(ctx, key, 0, -1).Result()
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(key, work.LogKey(""))
		for _, line := range lines {
			e, err := parseEntry(line)
			if err != nil {
				return nil, err
			}
			logs[name] = append(logs[name], e)
		}
	}
	return logs, nil
}

func parseEntry(line string) (e history.Entry, err error) {
	fields := strings.Fields(line)
	if len(fields) != 4 {
		return e, fmt.Errorf("chaos: the store's log has %q", line)
	}
	if e.Value, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return e, err
	}
	e.Token, err = strconv.ParseInt(fields[1], 10, 64)
	e.Owner, e.Hold = fields[2], fields[3]
	return e, err
}

// keep writes what is not in a file yet: the windows, the store's log and what
// the servers said.
func (f *Field) keep(ctx context.Context) error {
	store, err := f.readStore(ctx)
	if err != nil {
		return err
	}
	h := &history.History{Windows: f.Windows, Store: store}
	return errors.Join(h.Save(f.dir), f.Rig.SaveLogs(f.dir))
}
