package relock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// reindex is a handler whose work is done by one request at a time, of all
// processes.
func reindex(client *relock.Client, build func(context.Context) error) http.HandlerFunc {
	mutex := client.Mutex("reindex", relock.WithWait(0))
	return func(w http.ResponseWriter, r *http.Request) {
		began := false
		err := relock.Do(r.Context(), mutex, func(ctx context.Context, _ *relock.Lease) error {
			began = true
			return build(ctx) // ctx ends with the request, and with the lock
		})
		var taken *relock.NotAcquiredError
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case began: // build failed, or the lock was lost under it
			http.Error(w, "failed", http.StatusInternalServerError)
		case errors.As(err, &taken): // or 423, StatusLocked
			left := max(1, math.Ceil(taken.TTL.Seconds())) // if its holder dies now
			w.Header().Set("Retry-After", strconv.Itoa(int(left)))
			http.Error(w, "under way since "+taken.Since.UTC().Format(time.RFC3339), http.StatusConflict)
		default: // Redis cannot be asked, or the request is over
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}
}

// ready is a handler that says whether locks can be had.
func ready(client *relock.Client) http.HandlerFunc {
	probe := client.Mutex("health") // a name that nobody locks
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if _, err := probe.Status(ctx); err != nil { // asks as Lock does, and takes nothing
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		stats := client.Stats() // asks nobody
		fmt.Fprintf(w, "%d held, %d waiting, %d lost", stats.Held, stats.Waiting, stats.Lost)
	}
}

// unreachable is a client whose Redis is down.
func unreachable() (client *relock.Client, stop func()) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // where nobody listens
	client, err := relock.New(rdb, relock.WithCallTimeout(100*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		_ = client.Close()
		_ = rdb.Close()
	}
}

func get(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	return w
}

// "Taken" is 409 and says when to come again; "Redis is down" is 503.
func Example_httpHandler() {
	client, _, stop := connect()
	defer stop()
	build := func(context.Context) error { return nil }

	lease := take(context.Background(), client.Mutex("reindex"))
	w := get(reindex(client, build))
	fmt.Println("taken:", w.Code, "Retry-After:", w.Header().Get("Retry-After") != "")
	_ = lease.Unlock(context.Background())
	fmt.Println("free: ", get(reindex(client, build)).Code)

	down, stopDown := unreachable()
	defer stopDown()
	fmt.Println("down: ", get(reindex(down, build)).Code)
	// Output:
	// taken: 409 Retry-After: true
	// free:  204
	// down:  503
}

// A readiness check asks the server and takes no lock.
func Example_healthCheck() {
	client, _, stop := connect()
	defer stop()
	defer take(context.Background(), client.Mutex("import")).Unlock(context.Background())

	w := get(ready(client))
	fmt.Println(w.Code, w.Body)

	down, stopDown := unreachable()
	defer stopDown()
	fmt.Println(get(ready(down)).Code)
	// Output:
	// 200 1 held, 0 waiting, 0 lost
	// 503
}
