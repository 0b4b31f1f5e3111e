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
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// The recipes of docs/recipes.md.

// A function with a result, under a lock.
func ExampleDoValue() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	next := func(context.Context) (int, error) { return 1001, nil }

	number, err := relock.DoValue(ctx, client.Mutex("invoices"), func(ctx context.Context, _ *relock.Lease) (int, error) {
		return next(ctx)
	})
	if err != nil { // number may be set all the same: where the lock was lost, both are returned
		log.Fatal(err)
	}
	fmt.Println("invoice", number)
	// Output: invoice 1001
}

// gocronLocker is a gocron.Locker: of all schedulers, one runs a job at a time.
type gocronLocker struct {
	client *relock.Client
	opts   []relock.LockOption
}

// gocronLock is gocron.Lock, which a *relock.Lease has the methods of.
type gocronLock interface {
	Unlock(ctx context.Context) error
}

func (l gocronLocker) Lock(ctx context.Context, job string) (gocronLock, error) {
	lease, err := l.client.Mutex("cron:"+job, l.opts...).TryLock(ctx)
	if err != nil { // another scheduler has it, or Redis is down: gocron leaves this run out
		return nil, err
	}
	return lease, nil
}

// gocron.NewScheduler(gocron.WithDistributedLocker(gocronLocker{client, nil})).
func Example_gocron() {
	client, rdb, stop := connect()
	defer stop()
	other, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	ctx := context.Background()
	here, there := gocronLocker{client: client}, gocronLocker{client: other}

	lock, err := here.Lock(ctx, "report")
	fmt.Println("runs here:", err == nil)
	_, err = there.Lock(ctx, "report")
	fmt.Println("left out there:", errors.Is(err, relock.ErrNotAcquired))
	fmt.Println("done:", lock.Unlock(ctx))
	// Output:
	// runs here: true
	// left out there: true
	// done: <nil>
}

// errLater is what a worker returns for a job that is to be tried again later.
var errLater = errors.New("later")

// settle is a job of a queue: one at a time for each account, on whichever worker.
func settle(ctx context.Context, client *relock.Client, guard *relock.Guard, account string, sum func(context.Context) (int, error)) error {
	mutex := client.Mutex("settle:"+account, relock.WithWait(0)) // a worker that waits does nothing else
	err := relock.Do(ctx, mutex, func(ctx context.Context, lease *relock.Lease) error {
		key, holder := "balance:"+account, lease.Sequencer()
		if err := guard.Claim(ctx, key, holder); err != nil { // before the first read
			return err
		}
		balance, err := sum(ctx)
		if err != nil {
			return err
		}
		return guard.Set(ctx, key, holder, balance, 0) // ErrStaleToken: a later worker was here
	})
	if errors.Is(err, relock.ErrNotAcquired) {
		return fmt.Errorf("%w: %w", errLater, err)
	}
	return err // whatever else it is, the queue tries again
}

// A job of a queue that must not run twice at a time.
func Example_uniqueJob() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	guard := relock.NewGuard(rdb)

	err := settle(ctx, client, guard, "7", func(ctx context.Context) (int, error) {
		again := settle(context.Background(), client, guard, "7", nil) // the same job, on another worker
		fmt.Println("the other: later:", errors.Is(again, errLater))
		return 42, nil
	})
	fmt.Println("this one:", err, "balance:", rdb.Get(ctx, "balance:7").Val())
	// Output:
	// the other: later: true
	// this one: <nil> balance: 42
}

// Many goroutines under one lock.
func Example_group() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	shards := []string{"a", "b", "c"}
	full := errors.New("disk is full")
	rebuild := func(ctx context.Context, shard string) error {
		if shard == "b" {
			return full
		}
		<-ctx.Done() // the others stop
		return context.Cause(ctx)
	}

	err := relock.Do(ctx, client.Mutex("index"), func(ctx context.Context, _ *relock.Lease) error {
		ctx, cancel := context.WithCancelCause(ctx) // ends with the lock, or with the first that fails
		defer cancel(nil)
		var group sync.WaitGroup
		for _, shard := range shards {
			group.Go(func() {
				if err := rebuild(ctx, shard); err != nil {
					cancel(err)
				}
			})
		}
		group.Wait() // before the lock is given back
		return context.Cause(ctx)
	})
	fmt.Println(err)
	// Output: disk is full
}

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

// ready is a handler that says whether locks can be taken.
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

// follow has one process of all that call it work at a time, until ctx ends.
func follow(ctx context.Context, client *relock.Client, guard *relock.Guard, next func(context.Context) (int, error)) error {
	return relock.Lead(ctx, client.Mutex("consumer", relock.WithTTL(10*time.Second)), func(ctx context.Context, lease *relock.Lease) error {
		leader := lease.Sequencer()
		if err := guard.Claim(ctx, "offset", leader); err != nil { // before the first read
			return err
		}
		for {
			offset, err := next(ctx)
			if err != nil {
				return err // ctx has ended: with the process, or since it leads no more
			}
			if err := guard.Set(ctx, "offset", leader, offset, 0); err != nil {
				return err // ErrStaleToken: a later leader was here
			}
		}
	})
}

// One of many processes does the work.
func ExampleLead() {
	client, rdb, stop := connect()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	done := 0
	next := func(ctx context.Context) (int, error) {
		if done++; done > 3 {
			cancel() // the process is told to end
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		return done, nil
	}

	err := follow(ctx, client, relock.NewGuard(rdb), next)
	fmt.Println("ended:", errors.Is(err, context.Canceled), "offset:", rdb.Get(context.Background(), "offset").Val())
	// Output: ended: true offset: 3
}

// A candidate that is asked whether it leads.
func ExampleElector() {
	client, _, stop := connect()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	elector := relock.NewElector(client.Mutex("scheduler"))
	go elector.Run(ctx) // until ctx ends; what it returns is worth a log line

	// gocron.NewScheduler(gocron.WithDistributedElector(elector))
	for range time.Tick(time.Millisecond) { // a schedule, of which the leader does the work
		if elector.IsLeader(ctx) == nil {
			break
		}
	}
	fmt.Println("leads:", elector.Leading(), "with a token:", elector.Token() > 0)

	leader, err := elector.Leader(ctx) // who leads, by the server; Watch tells each change
	fmt.Println("it is this one:", leader.Token == elector.Token(), err)
	fmt.Println("gives over:", elector.Resign(ctx), elector.Leading())
	// Output:
	// leads: true with a token: true
	// it is this one: true <nil>
	// gives over: <nil> false
}
