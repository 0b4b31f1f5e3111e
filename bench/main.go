package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/bench/chart"
	"github.com/relock-go/relock/bench/report"
	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/server"
	"github.com/relock-go/relock/bench/work"
)

// quickTime ends a quick run on a machine that is slower than ours.
const quickTime = 240 * time.Second

// quorumNodes is how many servers a quorum lock runs on.
const quorumNodes = 5

type config struct {
	quick  bool
	budget time.Duration
	rounds int
	only   string
	out    string
	again  bool
	before string
}

// silent is a go-redis logger.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// limit is how long one run of one entrant may take before it counts as failed.
func (c config) limit() time.Duration {
	if c.quick {
		return 5 * time.Second
	}
	return 30 * time.Second
}

func main() {
	if work.RunWorker() {
		return
	}
	var c config
	flag.BoolVar(&c.quick, "quick", false, "every work, small: three minutes; the samples are too short to be quoted")
	flag.DurationVar(&c.budget, "time", 35*time.Minute, "how long a full run may take; samples are made shorter or longer to fit")
	flag.IntVar(&c.rounds, "rounds", 0, "how often each cell is measured (default 5, or 7 where a ratio is judged; with -quick 3)")
	flag.StringVar(&c.only, "only", "", "works to run, by their keys, separated by commas (default all)")
	flag.StringVar(&c.out, "out", "out", "the folder that the results are written to")
	flag.BoolVar(&c.again, "again", false, "measure nothing: write report and charts again from results.json in -out")
	flag.StringVar(&c.before, "before", "results/before.json", "results.json of a run of the version before, for the goals that are about it")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(c config) error {
	if c.again {
		return rewrite(c)
	}
	if c.quick {
		c.budget = quickTime
	}
	redis.SetLogger(silent{}) // nodes are hung and connections cut on purpose
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, c.budget, fmt.Errorf("out of time after %v", c.budget))
	defer cancel()

	rig, done, err := startRig(ctx)
	if err != nil {
		return err
	}
	defer done()
	r, err := measure(ctx, c, rig)
	if err != nil {
		return err
	}
	return write(c, r)
}

func startRig(ctx context.Context) (*work.Rig, func(), error) {
	var all []*server.Server
	stop := func() {
		for _, s := range all {
			s.Stop()
		}
	}
	for range 1 + quorumNodes {
		s, err := server.Start(ctx)
		if err != nil {
			stop()
			return nil, nil, err
		}
		all = append(all, s)
	}
	return &work.Rig{Main: all[0], Nodes: all[1:]}, stop, nil
}

// measure runs the works. What was measured before ctx ended is returned too.
func measure(ctx context.Context, c config, rig *work.Rig) (*result.Run, error) {
	machine, err := describe(ctx, rig.Main)
	if err != nil {
		return nil, err
	}
	r := &result.Run{Machine: machine, Mode: "full", Started: time.Now(), Settings: work.Settings()}
	if err := rig.Warm(ctx); err != nil {
		return nil, err
	}
	works := work.Full(rig, work.Scale(c.budget))
	if c.quick {
		r.Mode, works = "quick", work.Quick(rig)
	}
	works, err = choose(works, c.only)
	if err != nil {
		return nil, err
	}
	e := &work.Engine{Rounds: c.rounds, Limit: c.limit(), Result: r, Progress: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}}
	for i, w := range works {
		if ctx.Err() != nil {
			break
		}
		e.Progress("[%2d/%d, %s] %s", i+1, len(works), time.Since(r.Started).Round(time.Second), w.Title)
		e.Do(ctx, w)
	}
	r.Took = time.Since(r.Started).Round(time.Second).String()
	if cause := context.Cause(ctx); cause != nil {
		r.Unended = cause.Error()
	}
	return r, nil
}

func rewrite(c config) error {
	r, err := read(filepath.Join(c.out, "results.json"))
	if err != nil {
		return err
	}
	return write(c, r)
}

func read(path string) (*result.Run, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return result.Parse(data)
}

func write(c config, r *result.Run) error {
	if len(r.Cells) == 0 {
		return errors.New("nothing was measured")
	}
	before, err := read(c.before)
	if errors.Is(err, os.ErrNotExist) {
		before, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("-before: %w", err)
	}
	dir := c.out
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	charts, err := chart.Write(dir, r)
	if err != nil {
		return err
	}
	if err := report.Write(dir, r, before, charts); err != nil {
		return err
	}
	report.Terminal(os.Stdout, r, before)
	fmt.Printf("\n%s run, %d cells, %s: %s/report.md, %s/results.json, %d charts\n", r.Mode, len(r.Cells), r.Took, dir, dir, len(charts))
	if r.Unended != "" {
		fmt.Println("Not complete:", r.Unended)
	}
	return nil
}
