package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/relock-go/relock/faults/chaos"
	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/faults/work"
)

var errViolated = errors.New("there were violations")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if os.Getenv(chaos.EnvWorker) != "" {
		end(work.Work(context.Background(), os.Stdin, os.Stdout))
		return
	}
	redis.SetLogger(&logging.VoidLogger{})
	end(run(ctx, os.Args[1:], os.Stdout))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// options are the command's flags.
type options struct {
	topologies []rig.Topology
	total      time.Duration
	round      time.Duration
	seed       uint64
	json       string
	keep       string
	workers    int
	actors     int
	only       *regexp.Regexp
}

const shortRound = 12 * time.Second

func run(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("faults", flag.ContinueOnError)
	var o options
	short := set.Bool("short", false, "one short round of every topology")
	topology := set.String("topology", "all", fmt.Sprintf("one of %v, several with commas, or all", rig.All))
	set.DurationVar(&o.total, "for", time.Minute, "for how long to run, judging included")
	set.DurationVar(&o.round, "round", 40*time.Second, "for how long faults are injected into one rig")
	set.Uint64Var(&o.seed, "seed", rand.Uint64()>>16, "of the schedule; a seed replays it")
	set.StringVar(&o.json, "json", "", "file for the result as JSON")
	set.StringVar(&o.keep, "keep", filepath.Join(os.TempDir(), "relock-faults"), "folder for what belongs to a violation")
	set.IntVar(&o.workers, "workers", 3, "worker processes")
	set.IntVar(&o.actors, "actors", 12, "goroutines of a worker")
	only := set.String("only", "", "regular expression for the kinds of faults to inject")
	judge := set.String("judge", "", "only judge again a history of this -topology that was kept in a folder; its pictures are drawn anew")
	fencing := set.Int("fencing", 0, "only show what a Guard is worth, in so many read-modify-writes")
	if err := set.Parse(args); err != nil {
		return err
	}
	var err error
	if *only != "" {
		if o.only, err = regexp.Compile(*only); err != nil {
			return err
		}
	}
	if o.topologies, err = parseTopologies(*topology); err != nil {
		return err
	}
	if *judge != "" {
		signal.Reset(os.Interrupt) // it is not told in between
		return o.judge(out, *judge)
	}
	if *fencing > 0 {
		return o.fence(ctx, out, *fencing)
	}
	if *short {
		o.total, o.round = 0, shortRound
	}
	return o.play(ctx, out)
}

var errOneTopology = errors.New("-judge needs the one -topology whose history it is")

// judge judges what is kept in a folder.
func (o *options) judge(out io.Writer, dir string) error {
	if len(o.topologies) != 1 {
		return errOneTopology
	}
	v, err := chaos.Judge(o.topologies[0], o.config(), dir)
	if err != nil {
		return err
	}
	for _, one := range v.Violations {
		fmt.Fprintln(out, "VIOLATION", one)
	}
	fmt.Fprintf(out, "%d operations, %d violations, %d undecided; what the probes of the round found is not among them\n",
		v.Operations, len(v.Violations), v.Unknown)
	if len(v.Violations) > 0 {
		return errViolated
	}
	return nil
}

func parseTopologies(text string) ([]rig.Topology, error) {
	if text == "all" {
		return rig.All, nil
	}
	var list []rig.Topology
	for name := range strings.SplitSeq(text, ",") {
		known := false
		for _, t := range rig.All {
			known = known || string(t) == name
		}
		if !known {
			return nil, fmt.Errorf("no topology %q: there are %v", name, rig.All)
		}
		list = append(list, rig.Topology(name))
	}
	return list, nil
}

// seedStep is between the seeds of two rounds. The first round of a run has the
// run's seed, so that any round can be run alone.
const seedStep = 1_000_003

// leastRound is what is worth to start a rig for.
const leastRound = 5 * time.Second

// play runs round after round, each topology in its turn, until the time is
// over; at least one of each.
func (o *options) play(ctx context.Context, out io.Writer) error {
	t := newTotal(o.seed)
	fmt.Fprintf(out, "seed %d, %v\n", o.seed, o.topologies)
	for k := 0; ctx.Err() == nil; k++ {
		left := o.total - time.Since(t.Start)
		if k >= len(o.topologies) && left < leastRound {
			break
		}
		d := o.round
		if o.total > 0 {
			d = max(min(d, left), leastRound)
		}
		p := chaos.Plan{Topology: o.topologies[k%len(o.topologies)], Seed: o.seed + uint64(k)*seedStep, For: d, Config: o.config()}
		if err := o.playOne(ctx, out, t, p); err != nil {
			return err
		}
	}
	t.figure(out)
	if err := t.save(o.json); err != nil {
		return err
	}
	if len(t.Verdict.Violations) > 0 {
		return errViolated
	}
	return ctx.Err()
}

func (o *options) config() chaos.Config {
	return chaos.Config{Workers: o.workers, Actors: o.actors, Shared: 6, Pause: 4 * time.Millisecond, Only: o.only}
}

func (o *options) playOne(ctx context.Context, out io.Writer, t *total, p chaos.Plan) error {
	dir, err := os.MkdirTemp("", "relock-round-")
	if err != nil {
		return err
	}
	p.Dir = dir
	p.Tell = func(w history.Window) { t.tell(out, p, w) }
	outcome, err := chaos.Play(ctx, p)
	if err != nil {
		err = fmt.Errorf("round of %s with seed %d, in %s: %w", p.Topology, p.Seed, dir, err)
	}
	if outcome == nil {
		return err
	}
	t.add(outcome)
	t.round(out, outcome)
	if len(outcome.Verdict.Violations) == 0 && outcome.Verdict.Unknown == 0 && err == nil {
		return errors.Join(t.save(o.json), os.RemoveAll(dir))
	}
	return errors.Join(err, o.report(out, outcome))
}

func (o *options) onlyFlag() string {
	if o.only == nil {
		return ""
	}
	return fmt.Sprintf(" -only %q", o.only)
}

// report keeps what belongs to a violation, or was not decided, and says how it is judged again and replayed.
func (o *options) report(out io.Writer, found *chaos.Outcome) error {
	kept := filepath.Join(o.keep, fmt.Sprintf("%s-%d", found.Topology, found.Seed))
	if err := os.MkdirAll(o.keep, 0o700); err != nil {
		return err
	}
	_ = os.RemoveAll(kept) // of an earlier run of this seed
	if err := os.Rename(found.Dir, kept); err != nil {
		kept = found.Dir
	}
	for _, v := range found.Verdict.Violations {
		fmt.Fprintln(out, "VIOLATION", strings.ReplaceAll(v.String(), found.Dir, kept))
	}
	fmt.Fprintf(out, "history, logs and pictures: %s\njudge again: go run . -topology %s -judge %s\n", kept, found.Topology, kept)
	fmt.Fprintf(out, "replay: go run . -topology %s -seed %d -for %v -round %v -workers %d -actors %d%s\n",
		found.Topology, found.Seed, found.For, found.For, o.workers, o.actors, o.onlyFlag())
	return nil
}
