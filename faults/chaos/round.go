package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	f, err := NewField(ctx, r, p.Config, p.Seed, p.Dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	failed := f.Run(ctx, p.For, p.Tell)
	f.Finish()
	f.FinalLocks(ctx)
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
	if o.Verdict, err = f.judge(ctx); err != nil {
		return nil, err
	}
	if err := f.keep(); err != nil {
		return nil, err
	}
	return o, failed
}

// judge checks the history and adds what the probes found.
func (f *Field) judge(ctx context.Context) (*history.Verdict, error) {
	h := &history.History{Windows: f.Windows}
	var err error
	if h.Events, err = history.ReadAll(filepath.Join(f.dir, "worker-*.jsonl")); err != nil {
		return nil, err
	}
	if h.Store, err = f.readStore(ctx); err != nil {
		return nil, err
	}
	bound := Timing.TTL + Timing.Check + time.Second
	v := h.Check(history.Rules{
		Contended: f.Shared, HealBound: bound + Slack, LossSlack: Slack,
		Quorum:  f.Rig.Topology == rig.Quorum,
		Timeout: 30 * time.Second, Pictures: f.dir,
	})
	v.Merge(f.Verdict)
	return v, nil
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

// keep writes what is not in a file yet: the windows and the servers' logs.
func (f *Field) keep() error {
	data, err := json.MarshalIndent(f.Windows, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "windows.json"), data, 0o600); err != nil {
		return err
	}
	return f.Rig.SaveLogs(f.dir)
}
