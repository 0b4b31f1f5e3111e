package chaos

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/faults/work"
	"github.com/relock-go/relock/internal/redistest"
)

func TestMain(m *testing.M) {
	if os.Getenv(EnvWorker) != "" {
		if err := work.Work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	redis.SetLogger(&logging.VoidLogger{})
	os.Exit(m.Run())
}

// The same workers and stops: what a Guard keeps, its absence loses. A harness
// that saw nothing lost would see nothing at all.
func TestUpdatesAreLostWithoutAGuardAndOnlyThen(t *testing.T) {
	redistest.Require(t)
	for _, plain := range []bool{true, false} {
		c := Config{Workers: 2, Actors: 4, Shared: 2, Pause: time.Millisecond, Plain: plain}
		done, err := Fence(t.Context(), c, 1, t.TempDir(), 400)
		if err != nil {
			t.Fatal(err)
		}
		if lost := done.Lost > 0; lost != plain || done.Stops == 0 {
			t.Errorf("plain %v: %+v", plain, done)
		}
	}
}

func TestARoundIsPlayedAndJudged(t *testing.T) {
	redistest.Require(t)
	told := 0
	o, err := Play(t.Context(), Plan{
		Topology: rig.Standalone, Seed: 1, For: 3 * time.Second, Dir: t.TempDir(),
		Config: Config{
			Workers: 2, Actors: 6, Shared: 3, Pause: 4 * time.Millisecond,
			Only: regexp.MustCompile("^(reply dropped|worker killed|connections reset)$"),
		},
		Tell: func(history.Window) { told++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Verdict.Violations) > 0 || o.Verdict.Unknown > 0 {
		t.Errorf("got violations %v and %d undecided", o.Verdict.Violations, o.Verdict.Unknown)
	}
	for _, check := range []string{"S1", "S2", "S3", "S4", "S6"} {
		if o.Verdict.Checked[check] == 0 {
			t.Errorf("%s has judged nothing", check)
		}
	}
	if told == 0 || len(o.Faults) == 0 {
		t.Errorf("%d faults were told of, and %v were injected", told, o.Faults)
	}
}
