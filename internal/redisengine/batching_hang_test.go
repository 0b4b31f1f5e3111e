package redisengine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// 64 goroutines whose connections a router has forgotten find others, each in time.
func TestDeadConnectionsDoNotCostTheCallsOfMany(t *testing.T) {
	const goroutines = 64
	r := behaviour.NewRig(t)
	c, forget := forgotten(t, r)
	leases := make([]*relock.Lease, goroutines)
	for i := range leases {
		leases[i] = behaviour.LockOf(t, c.Mutex(fmt.Sprint("held", i)))
	}
	forget()
	start := time.Now()
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for i := range goroutines {
		wg.Go(func() {
			if err := leases[i].Unlock(behaviour.Bg); err != nil {
				t.Errorf("Unlock: %v, though a new connection works", err)
			}
			if err := behaviour.TryCall(c.Mutex(fmt.Sprint("free", i)))(behaviour.Bg); err != nil {
				t.Errorf("TryLock: %v, though a new connection works", err)
			}
			slowest.Store(max(slowest.Load(), int64(time.Since(start))))
		})
	}
	wg.Wait()
	t.Logf("the last pair of %d took %v", goroutines, time.Duration(slowest.Load()).Round(time.Millisecond))
}

// A server that is stopped for two seconds, under goroutines that give up soon and ask
// again: each returns when its context ends, few connections are made, what was given
// up while it waited for its turn is not executed, and nothing is left.
func TestAServerThatHangsUnderManyWhoGiveUp(t *testing.T) {
	const goroutines, patience, hang = 64, 100 * time.Millisecond, 2 * time.Second
	r := behaviour.NewRig(t)
	open := &connections{}
	rdb := redis.NewClient(&redis.Options{Addr: r.Server.Addr(), Dialer: open.dial})
	defer rdb.Close()
	c := behaviour.ClientOn(t, rdb)
	times(t, c, goroutines, 50) // the limit is what it is under load
	before, executed := open.made(), monitor(t, r)
	if err := r.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	var givers impatient
	stop := make(chan struct{})
	for i := range goroutines {
		givers.wg.Go(func() { givers.ask(t, c.Mutex(fmt.Sprint("own", i)), patience, stop) })
	}
	<-time.After(hang)
	close(stop)
	givers.wg.Wait()
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // what was given up is withdrawn
		t.Error(err)
	}
	acquires, late := executed()
	tombstones, err := r.Direct.Keys(behaviour.Bg, "*tombstones*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(givers.late)
	worst := givers.late[len(givers.late)-1]
	t.Logf("%d calls, of which %d left nothing to withdraw; returns after the end of their contexts: median %v, worst %v",
		len(givers.late), givers.unsent, givers.late[len(givers.late)/2].Round(time.Microsecond), worst.Round(time.Microsecond))
	t.Logf("%d connections made, %d at a time; %d acquires executed, of which %d after their own withdrawal; tombstones of %d names",
		open.made()-before, open.most(), acquires, late, len(tombstones))
	if worst > promptly {
		t.Errorf("returned %v after the end of a context, want within 50ms", worst)
	}
	// What a caller sent itself was given up, and then waited for its turn.
	if most := len(givers.late) - givers.unsent + givers.taken + max(4, runtime.GOMAXPROCS(0)); acquires > most {
		t.Errorf("%d acquires were executed, and no more than %d may have left", acquires, most)
	}
	if acquires > len(givers.late)/2 {
		t.Errorf("%d acquires of %d were executed, though they were given up", acquires, len(givers.late))
	}
	behaviour.AwaitClean(t, r.Direct)
}

// An impatient has goroutines give up, again and again.
type impatient struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	late   []time.Duration // returns after the ends of the contexts
	unsent int
	taken  int
}

func (g *impatient) ask(t *testing.T, m *relock.Mutex, patience time.Duration, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(behaviour.Bg, patience)
		start := time.Now()
		lease, err := m.Lock(ctx)
		g.returned(time.Since(start)-patience, err)
		cancel()
		if err == nil {
			_ = lease.Unlock(behaviour.Bg)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
	}
}

func (g *impatient) returned(late time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.taken++
		return
	case errors.Is(err, engine.ErrUnsent):
		g.unsent++
	}
	g.late = append(g.late, late)
}

// monitor has the server tell what it executes, until it is called: how many acquires,
// and how many of them after the release of the same hold.
func monitor(t *testing.T, r *behaviour.Rig) (executed func() (acquires, late int)) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	lines := bufio.NewScanner(conn)
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil || !lines.Scan() {
		t.Fatal(err)
	}
	acquire, release := behaviour.ScriptName("acquire.lua"), behaviour.ScriptName("release.lua")
	const end = "the end of what is monitored"
	return func() (acquires, late int) {
		if err := r.Direct.Echo(behaviour.Bg, end).Err(); err != nil {
			t.Fatal(err)
		}
		withdrawn := map[string]bool{}
		for lines.Scan() && !strings.Contains(lines.Text(), end) {
			words := strings.Split(lines.Text(), "\" \"")
			if len(words) < 4 || !strings.HasSuffix(words[0], "\"evalsha") {
				continue
			}
			keys, _ := strconv.Atoi(words[2])
			switch hold := words[3+keys]; words[1] {
			case acquire:
				acquires++
				if withdrawn[hold] {
					late++
				}
			case release:
				withdrawn[hold] = true
			}
		}
		return acquires, late
	}
}
