package relocktest_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/relocktest"
)

func TestDownAndUp(t *testing.T) {
	everywhere(t, func(t *testing.T, d deployment) {
		mutex := d.mutex("invoices", relock.WithTTL(relock.MinTTL))
		lease := lockOf(t, mutex)
		d.down()
		ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
		defer cancel()
		_, err := mutex.Lock(ctx)
		if err == nil || errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("got %v while Redis is down", err)
		}
		<-lease.Context().Done() // at its deadline
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		d.up()
		if err := lockOf(t, mutex).Unlock(bg); err != nil {
			t.Errorf("Unlock: %v", err)
		}
	})
}

// No goroutine stays, however long the server was down.
func TestATestMayEndWhileRedisIsDown(t *testing.T) {
	t.Run("in real time", func(t *testing.T) {
		d := deployments["a Server"](t)
		lockOf(t, d.mutex("invoices"))
		d.down()
	})
	goleak.VerifyNone(t)
	for name, deploy := range deployments {
		for _, down := range []time.Duration{0, 20 * time.Second, time.Minute, 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s, after %v", name, down), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := deploy(t)
					lockOf(t, d.mutex("invoices"))
					d.down()
					<-time.After(down)
				})
			})
		}
	}
}

// A lock that is held is no reason to wait for a server that is down.
func TestTheEndIsNotHeldUpByAServerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		t.Cleanup(func() {
			if took := time.Since(ended); took > 0 {
				t.Errorf("the end took %v", took)
			}
		})
		srv := relocktest.New(t)
		lockOf(t, srv.Client().Mutex("invoices"))
		srv.Down()
		ended = time.Now()
	})
}

// Many wait while the server is down: go-redis then has a goroutine that dials.
func TestABubbleEndsThoughManyConnectionsWereRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := relocktest.New(t)
		rdb := srv.Redis()
		srv.Down()
		for range 1500 {
			if err := rdb.Ping(bg).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("got %v, want a refused connection", err)
			}
		}
	})
}

// Connections from before Down are not used after Up.
func TestEveryCommandSucceedsAfterUp(t *testing.T) {
	check := func(t *testing.T) {
		srv := relocktest.New(t)
		rdb := srv.Redis()
		var pooled []*redis.Conn
		for range 8 {
			conn := rdb.Conn()
			if err := conn.Set(bg, "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			pooled = append(pooled, conn)
		}
		for _, conn := range pooled {
			_ = conn.Close()
		}
		srv.Down()
		srv.Up()
		if got, err := rdb.Get(bg, "k").Result(); got != "v" || err != nil {
			t.Errorf("got %q and %v, want what was there before", got, err)
		}
	}
	check(t)
	synctest.Test(t, check)
}
