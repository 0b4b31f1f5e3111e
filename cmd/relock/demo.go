package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/demo"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

const demoIntro = `Processes of several goroutines each contend for one lock, to read, change and
write one account. In the middle one process is stopped inside its critical
section until its lease is over and others went on; then it goes on too, and
its late write is refused. At the end the account's history is checked. The exit
status is 1 if anything was lost.

Examples:
  relock demo                                    on an embedded Redis
  relock demo --redis redis://localhost:6379     on a server of yours
  relock demo --workers 8 --goroutines 16 --duration 15s`

var demoCommand = command{
	name: "demo",
	help: "processes contend for one lock; one is stopped past its lease; nothing gets lost",
	run:  interruptible(runDemo),
}

var demoWorkerCommand = command{name: "demo-worker", run: interruptible(runDemoWorker)}

func demoFlags(cfg *demo.Config) *flag.FlagSet {
	fs := newFlags("demo")
	fs.StringVar(&cfg.Redis, "redis", "", "`URL` of a Redis server or cluster (default: an embedded one)")
	registerTLS(fs, &cfg.TLS)
	fs.IntVar(&cfg.Workers, "workers", 3, "how many processes")
	fs.IntVar(&cfg.Goroutines, "goroutines", 4, "how many goroutines in each")
	fs.DurationVar(&cfg.TTL, "ttl", time.Second, "for how long the lock outlives a holder that is gone")
	fs.DurationVar(&cfg.Duration, "duration", 8*time.Second, "how long they work")
	return fs
}

func runDemo(ctx context.Context, args []string, std stdio) int {
	var cfg demo.Config
	fs := demoFlags(&cfg)
	asJSON := fs.Bool("json", false, "print the summary as JSON, and nothing else")
	if status, ok := parse(fs, args, std, demoIntro); !ok {
		return status
	}
	if err := cfg.Check(); err != nil {
		return misused(fs, std, err)
	}
	view := demo.NewView(std.out, false)
	if isTerminal(std.out) {
		view = demo.NewView(steering(std.out), true)
	}
	if *asJSON {
		view = demo.NoView()
	}
	sum, err := demo.Run(ctx, cfg, view)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(std.err, "relock demo: interrupted")
		return exitFailed
	case errors.Is(err, dial.ErrBadURL), errors.Is(err, dial.ErrBadTLS):
		return misused(fs, std, err)
	case err != nil:
		fmt.Fprintf(std.err, "relock demo: %s\n", explain(err))
		if errors.Is(err, dial.ErrUnreachable) {
			return exitUnreachable
		}
		return exitFailed
	}
	if *asJSON {
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(sum)
	} else {
		err = sum.Print(std.out)
	}
	if err != nil || !sum.OK {
		return exitFailed
	}
	return exitOK
}

func runDemoWorker(ctx context.Context, _ []string, std stdio) int {
	if err := demo.Work(ctx, std.in, std.out); err != nil {
		fmt.Fprintf(std.err, "relock demo: %s\n", plain.Error(err))
		return exitFailed
	}
	return exitOK
}
