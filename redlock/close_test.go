package redlock_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// The nodes' go-redis clients are closed before the RedLock: what a quorum still
// holds is told.
func TestCloseOfARedLockSaysWhatItLeft(t *testing.T) {
	for _, closed := range []int{0, 1, 3} {
		r := newRig(t, 3)
		var all []*relock.Client
		var rdbs []*redis.Client
		for _, a := range r.addrs() {
			rdb := redis.NewClient(&redis.Options{Addr: a})
			c, err := relock.New(rdb)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = c.Close(), rdb.Close() })
			all, rdbs = append(all, c), append(rdbs, rdb)
		}
		red := redLockOf(t, all)
		lock(t, red.Mutex("a"))
		lock(t, red.Mutex("b"))
		for _, rdb := range rdbs[:closed] {
			_ = rdb.Close()
		}
		err := red.Close()
		switch {
		case closed < 2 && err != nil:
			t.Errorf("%d of 3 closed: %v", closed, err)
		case closed > 1 && (err == nil || !strings.Contains(err.Error(), `2 locks were not given back (["a" "b"])`) || !errors.Is(err, redis.ErrClosed)):
			t.Errorf("%d of 3 closed: got %v, want two locks", closed, err)
		}
	}
}
