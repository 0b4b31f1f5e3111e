package election_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// A candidate that is a process of its own: this test's binary, started again.

// settings are what a candidate is started with.
type settings struct {
	Addr string        // of the server
	File string        // that only one may have open to lead
	TTL  time.Duration // of the lock
}

const settingsEnv = "RELOCK_ELECTION_CANDIDATE"

// What a candidate tells.
const (
	ready    = "ready"    // it stands
	begins   = "begins"   // its function was called, and nobody else's runs
	beside   = "beside"   // its function was called, and another's runs
	believes = "believes" // it had a valid lease at that time
	writes   = "writes"   // a fenced write was accepted
	refused  = "refused"  // one was refused
	lost     = "lost"     // its lease has ended, and its function is about to return
)

// A line is what a candidate tells of its term.
type line struct {
	What  string
	Token relock.Token
	At    int64 // on the machine's monotonic clock, taken before What was found out
}

// clock is the time on the clock that all processes have in common.
func clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

func tell(what string, token relock.Token, at int64) {
	text, err := json.Marshal(line{what, token, at})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func TestMain(m *testing.M) {
	if text := os.Getenv(settingsEnv); text != "" {
		var s settings
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			panic(err)
		}
		panic(s.stand())
	}
	behaviour.Main(m)
}

// stand stands until the process is killed.
func (s settings) stand() error {
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	client, err := relock.New(rdb, relock.WithTTL(s.TTL), relock.WithCheckInterval(s.TTL/5))
	if err != nil {
		return err
	}
	guard := relock.NewGuard(rdb)
	tell(ready, 0, clock())
	return relock.Lead(behaviour.Bg, client.Mutex("leader"), func(ctx context.Context, lease *relock.Lease) error {
		return s.term(ctx, lease, guard)
	}, relock.WithLeadPause(s.TTL/10), relock.WithLeadRetry(func(error) bool { return true }))
}

// term leads until ctx ends. The kernel judges whether another's function runs: it
// takes the file back from a process that is killed.
func (s settings) term(ctx context.Context, lease *relock.Lease, guard *relock.Guard) error {
	file, err := os.OpenFile(s.File, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	what, at := begins, clock()
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		what = beside
	}
	tell(what, lease.Token(), at)
	if err := guard.Claim(ctx, "writes", lease.Sequencer()); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if at := clock(); lease.Err() == nil {
			tell(believes, lease.Token(), at)
		}
		s.write(lease, guard)
		<-tick.C
	}
	tell(lost, lease.Token(), clock())
	s.write(lease, guard) // as one would that has not noticed
	return nil
}

// write writes, whatever has become of the lease.
func (settings) write(lease *relock.Lease, guard *relock.Guard) {
	at := clock()
	_, err := guard.Eval(behaviour.Bg, "writes", lease.Sequencer(), `return redis.call("RPUSH", KEYS[1], ARGV[1])`, nil, lease.Token().String())
	switch {
	case err == nil:
		tell(writes, lease.Token(), at)
	case errors.Is(err, relock.ErrStaleToken):
		tell(refused, lease.Token(), at)
	}
}
