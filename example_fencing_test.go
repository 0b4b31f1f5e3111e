package relock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// A Guard refuses the late write of a holder that has been overtaken.
func ExampleGuard() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	const key = "stock:apples"
	slow := take(ctx, client.Mutex("stock", relock.WithLease(100*time.Millisecond)))
	<-slow.Context().Done()

	guard := relock.NewGuard(rdb)
	err := relock.Do(ctx, client.Mutex("stock"), func(ctx context.Context, lease *relock.Lease) error {
		holder := lease.Sequencer()                           // lock, token and owner
		if err := guard.Claim(ctx, key, holder); err != nil { // before the first read
			return err
		}
		apples, err := rdb.Get(ctx, key).Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return guard.Set(ctx, key, holder, apples+1, 0)
	})
	if err != nil {
		log.Fatal(err)
	}
	err = guard.Set(ctx, key, slow.Sequencer(), 99, 0) // a holder from before that wakes up late
	fmt.Println("refused:", errors.Is(err, relock.ErrStaleToken))

	fmt.Println("apples:", rdb.Get(ctx, key).Val())
	// Output:
	// refused: true
	// apples: 1
}

// A write of your own, under the Guard's check, in one script.
func ExampleGuard_Eval() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	lease := take(ctx, client.Mutex("stock"))
	defer lease.Unlock(ctx)
	guard := relock.NewGuard(rdb)

	left, err := guard.Eval(ctx, "stock:apples", lease.Sequencer(),
		`return redis.call('INCRBY', KEYS[1], ARGV[1])`, nil, 12)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("apples:", left)
	// Output: apples: 12
}

// profiles is a service that keeps profiles in Redis for callers that hold the
// lock "profiles".
func profiles(guard *relock.Guard) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		holder, err := relock.ParseSequencer(r.Header.Get("Lock-Sequencer"))
		if err != nil || holder.Name != "profiles" { // tokens of other locks say nothing here
			http.Error(w, "no lock", http.StatusBadRequest)
			return
		}
		profile, _ := io.ReadAll(r.Body)
		switch err := guard.Set(r.Context(), "profile:7", holder, profile, 0); {
		case errors.Is(err, relock.ErrStaleToken):
			http.Error(w, "overtaken", http.StatusConflict)
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}
}

// The token travels with the request to whoever does the write.
func ExampleSequencer() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	service := profiles(relock.NewGuard(rdb))
	put := func(lease *relock.Lease, profile string) (status int) {
		holder, err := lease.Sequencer().MarshalText()
		if err != nil {
			log.Fatal(err)
		}
		req := httptest.NewRequestWithContext(ctx, http.MethodPut, "/profile/7", strings.NewReader(profile))
		req.Header.Set("Lock-Sequencer", string(holder))

		w := httptest.NewRecorder()
		service(w, req)
		return w.Code
	}

	slow := take(ctx, client.Mutex("profiles"))
	_ = slow.Unlock(ctx)
	next := take(ctx, client.Mutex("profiles"))
	defer next.Unlock(ctx)

	fmt.Println(put(next, "new"), put(slow, "late"))
	// Output: 200 409
}
