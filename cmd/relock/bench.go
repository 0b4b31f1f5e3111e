package main

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/feel"
)

const benchIntro = `Measures locks on your Redis, for a quick feel: how many times a second a free
lock is taken and given back, by one goroutine and by many on names of their own,
and how long it takes from a release to the next holder when two clients
contend. Its locks are named relock-bench-*.

Examples:
  relock bench
  relock bench --redis redis://prod:6379 --duration 5s --json`

var benchCommand = command{name: "bench", help: "a quick feel for the speed of your Redis", run: interruptible(runBench)}

func runBench(ctx context.Context, args []string, std stdio) int {
	var v view
	fs := viewFlags("bench", &v, "")
	d := fs.Duration("duration", time.Second, "for how long to measure each of three things, at least")
	many := fs.Int("goroutines", 64, "how many are many")
	if status, ok := parse(fs, args, std, benchIntro); !ok {
		return status
	}
	switch {
	case *d < 10*time.Millisecond || *d > time.Hour:
		return misused(fs, std, fmt.Errorf("--duration %v: must be between 10ms and 1h", *d))
	case *many < 1 || *many > 10_000:
		return misused(fs, std, fmt.Errorf("--goroutines %d: must be between 1 and 10000", *many))
	}
	first, err := v.openWritable(ctx)
	if err != nil {
		return failed(fs, std, err)
	}
	defer first.close()
	second, err := v.openWritable(ctx)
	if err != nil {
		return failed(fs, std, err)
	}
	defer second.close()
	sum, err := feel.Measure(ctx, first.locks, second.locks, *many, *d)
	if err != nil {
		return failed(fs, std, err)
	}
	sum.Redis = first.Where
	if v.json {
		if printJSON(std.out, sum) != nil {
			return exitFailed
		}
		return exitOK
	}
	row := func(what, format string, args ...any) {
		fmt.Fprintf(std.out, "  %-29s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(std.out, "Redis: %s\n\n", sum.Redis)
	row("a free lock, 1 goroutine", "%7.0f pairs/s   (Lock and Unlock)", sum.OnePairs)
	row(fmt.Sprintf("free locks, %d goroutines", sum.Goroutines), "%7.0f pairs/s", sum.ManyPairs)
	row("hand-off between 2 clients", "p50 %v   p99 %v   (%d of them)", micro(sum.HandOffP50), micro(sum.HandOffP99), sum.HandOffs)
	return exitOK
}

func micro(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
