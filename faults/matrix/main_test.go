package matrix

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// envRounds names the environment variable that says how often each injection
// is repeated.
const envRounds = "RELOCK_FAULT_ROUNDS"

// atOnce is how many injections run at once. They wait more than they work,
// so it does not depend on the number of processors.
const atOnce = "4"

var bg = context.Background()

func TestMain(m *testing.M) {
	if os.Getenv(envWorker) != "" {
		work()
		return
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(atOnce)
	}
	redis.SetLogger(silence{}) // each refused dial of each fault is a line of go-redis's
	code := m.Run()
	if n := injections.Load(); n > 0 {
		fmt.Printf("%d faults injected, in %d rounds\n", n, rounds())
	}
	for _, f := range cleanups {
		f()
	}
	os.Exit(code)
}

// cleanups end what tests share.
var cleanups []func()

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func rounds() int {
	n, err := strconv.Atoi(os.Getenv(envRounds))
	if err != nil || n < 1 {
		return 1
	}
	return n
}
