package redisengine_test

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// How many commands the protocol costs, counted by a real server. EVALSHA and
// EVAL are what relock sends; what a script calls is counted apart.

// sections has each of n goroutines, spread over the clients, hold the lock
// times times.
func sections(t *testing.T, clients []*relock.Client, goroutines, times int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range goroutines {
		m := clients[i%len(clients)].Mutex("contended")
		wg.Go(func() {
			for range times {
				behaviour.Unlock(t, behaviour.LockOf(t, m))
			}
		})
	}
	wg.Wait()
}

func TestCommandsOfAContendedSection(t *testing.T) {
	for _, tc := range []struct {
		clients, goroutines, times int
		most                       float64
	}{
		{clients: 4, goroutines: 128, times: 8, most: 1.05},
		{clients: 32, goroutines: 32, times: 32, most: 2.05},
	} {
		t.Run(fmt.Sprintf("%d goroutines on %d clients", tc.goroutines, tc.clients), func(t *testing.T) {
			r := behaviour.NewRig(t)
			var clients []*relock.Client
			for range tc.clients {
				clients = append(clients, r.Client(t, false))
			}
			sections(t, clients, tc.goroutines, 2) // opens the subscriptions
			behaviour.ResetStats(t, r.Direct)
			sections(t, clients, tc.goroutines, tc.times)
			got := float64(behaviour.Calls(t, r.Direct, "evalsha", "eval")) / float64(tc.goroutines*tc.times)
			t.Logf("%.3f commands a section over %d sections", got, tc.goroutines*tc.times)
			if got > tc.most {
				t.Errorf("got %.3f commands a section, want at most %.2f", got, tc.most)
			}
		})
	}
}

func TestCommandsOfAnUncontendedPair(t *testing.T) {
	r := behaviour.NewRig(t)
	m := r.Client(t, false).Mutex("free")
	behaviour.Unlock(t, behaviour.LockOf(t, m)) // loads the scripts
	behaviour.ResetStats(t, r.Direct)
	const pairs = 100
	for range pairs {
		behaviour.Unlock(t, behaviour.LockOf(t, m))
	}
	if got := behaviour.Calls(t, r.Direct, "evalsha", "eval"); got != 2*pairs {
		t.Errorf("got %d EVALSHA for %d pairs, want 2 each", got, pairs)
	}
	if got := behaviour.Calls(t, r.Direct, "publish", "subscribe"); got != 0 {
		t.Errorf("got %d PUBLISH and SUBSCRIBE, want none", got)
	}
}

// 128 goroutines that wait on 4 clients cost no more than one check-in a client
// and interval: the interval is shortened by default, the rate is what counts.
func TestCommandsOfIdleWaiters(t *testing.T) {
	const clients, waiters = 4, 128
	interval, span := behaviour.Scaled(300*time.Millisecond, relock.DefaultCheckInterval), behaviour.Scaled(3*time.Second, 10*time.Second)
	r := behaviour.NewRig(t)
	holder := r.Client(t, false).Mutex("idle")
	lease := behaviour.LockOf(t, holder)
	var wg sync.WaitGroup
	for range clients {
		m := r.Client(t, false, relock.WithCheckInterval(interval)).Mutex("idle")
		for range waiters / clients {
			wg.Go(func() { behaviour.Unlock(t, behaviour.LockOf(t, m)) })
		}
	}
	behaviour.AwaitWaiters(t, holder, clients)
	behaviour.ResetStats(t, r.Direct)
	start := time.Now()
	<-time.After(span)
	got := behaviour.Calls(t, r.Direct, "evalsha", "eval")
	most := math.Ceil(clients*time.Since(start).Seconds()/interval.Seconds()) + float64(behaviour.Scaled(clients, 0))
	t.Logf("%d check-ins of %d waiters on %d clients in %v, every %v", got, waiters, clients, span, interval)
	if float64(got) > most || got < clients {
		t.Errorf("got %d check-ins, want one a client and interval, %.0f at most", got, most)
	}
	behaviour.Unlock(t, lease)
	wg.Wait()
}
