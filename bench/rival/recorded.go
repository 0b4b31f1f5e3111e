package rival

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
)

// A script's keys and arguments alone cost a fifth of a pair. Floors that are to be
// compared with relock's scripts have the very ones that relock sends, as recorded
// from the wire when a run begins.

// recordedName is the name of the lock whose requests are recorded.
const recordedName = "bench:recorded:1"

// recordedChannel begins the argument that is a waiter's channel.
const recordedChannel = "relock:"

// request is one call of a script.
type request struct {
	keys []string
	args []any
}

// exchange is the two requests of a section.
type exchange struct{ lock, unlock request }

var (
	errNotRecorded = errors.New("relock's requests were not recorded")

	recordedPair    exchange // of a lock that nobody else wants
	recordedHandOff exchange // of one that waits, and has others behind it
)

// Record records what relock sends to a server.
func Record(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var err error
	if recordedPair, err = record(ctx, addr, freePair); err != nil {
		return fmt.Errorf("record a pair: %w", err)
	}
	if recordedHandOff, err = record(ctx, addr, handOff); err != nil {
		return fmt.Errorf("record a hand-off: %w", err)
	}
	if recordedHandOff.lock.channel() < 0 {
		return errors.New("record a hand-off: a request to wait without a channel")
	}
	return nil
}

// record returns the two requests that do has near send; far's are not looked at.
func record(ctx context.Context, addr string, do func(ctx context.Context, near, far Client) error) (exchange, error) {
	var mu sync.Mutex
	var seen [][]string
	proxy, err := faultproxy.New(addr)
	if err != nil {
		return exchange{}, err
	}
	defer proxy.Close()
	near, err := Relock.Open(Env{Addrs: []string{proxy.Addr()}, TTL: TTL})
	if err != nil {
		return exchange{}, err
	}
	defer near.Close()
	far, err := Relock.Open(Env{Addrs: []string{addr}, TTL: TTL})
	if err != nil {
		return exchange{}, err
	}
	defer far.Close()
	if err := do(ctx, near, far); err != nil { // scripts are known, and channels subscribed
		return exchange{}, err
	}
	proxy.Count(func(words []string) bool {
		if !faultproxy.Command("evalsha")(words) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, slices.Clone(words))
		return true
	})
	for {
		if err := do(ctx, near, far); err != nil {
			return exchange{}, err
		}
		mu.Lock()
		got := seen
		seen = nil
		mu.Unlock()
		if len(got) == 2 { // else the machine was so busy that one was sent again
			return parseExchange(got)
		}
	}
}

func parseExchange(requests [][]string) (e exchange, err error) {
	if e.lock, err = parseRequest(requests[0]); err == nil {
		e.unlock, err = parseRequest(requests[1])
	}
	return e, err
}

// freePair takes and gives back a lock.
func freePair(ctx context.Context, near, _ Client) error {
	held, err := near.Locker(recordedName).Lock(ctx)
	if err != nil {
		return err
	}
	return held.Unlock(ctx)
}

// handOff has near wait behind far, and then pass the lock on to far.
func handOff(ctx context.Context, near, far Client) error {
	first, err := far.Locker(recordedName).Lock(ctx)
	if err != nil {
		return err
	}
	middle := lockLater(ctx, near)
	if err := oneWaits(ctx, far); err != nil {
		return err
	}
	if err := first.Unlock(ctx); err != nil {
		return err
	}
	second := <-middle
	if second.err != nil {
		return second.err
	}
	last := lockLater(ctx, far)
	if err := oneWaits(ctx, far); err != nil {
		return err
	}
	if err := second.held.Unlock(ctx); err != nil {
		return err
	}
	third := <-last
	if third.err != nil {
		return third.err
	}
	return third.held.Unlock(ctx)
}

type locked struct {
	held Held
	err  error
}

func lockLater(ctx context.Context, c Client) <-chan locked {
	done := make(chan locked, 1)
	go func() {
		held, err := c.Locker(recordedName).Lock(ctx)
		done <- locked{held, err}
	}()
	return done
}

// oneWaits returns when somebody is in the server's queue. c asks.
func oneWaits(ctx context.Context, c Client) error {
	m := c.(*relockClient).client.Mutex(recordedName)
	for {
		status, err := m.Status(ctx)
		if err != nil || status.Waiters > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

// parseRequest reads EVALSHA's words.
func parseRequest(words []string) (request, error) {
	if len(words) < 3 {
		return request{}, fmt.Errorf("too short: %q", words)
	}
	n, err := strconv.Atoi(words[2])
	if err != nil || n < 1 || len(words) < 3+n {
		return request{}, fmt.Errorf("no keys: %q", words)
	}
	r := request{keys: words[3 : 3+n]}
	for _, arg := range words[3+n:] {
		r.args = append(r.args, arg)
	}
	return r, nil
}

// of returns the request as one of the lock of that name.
func (r request) of(name string) request {
	keys := make([]string, len(r.keys))
	for i, key := range r.keys {
		keys[i] = strings.ReplaceAll(key, recordedName, name)
	}
	return request{keys, slices.Clone(r.args)}
}

// channel is where the waiter's channel is in the arguments; less than 0: nowhere.
func (r request) channel() int {
	return slices.IndexFunc(r.args, func(arg any) bool { return strings.HasPrefix(arg.(string), recordedChannel) })
}

// run runs a script with the keys and arguments of r, and returns its reply.
func (r request) run(ctx context.Context, rdb redis.Scripter, s *redis.Script) (int64, error) {
	return s.Run(ctx, rdb, r.keys, r.args...).Int64()
}
