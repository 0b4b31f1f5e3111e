package relock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// A holder learns that its lock is gone: here an operator takes it away.
func ExampleDo_lost() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	mutex := client.Mutex("import", relock.WithTTL(300*time.Millisecond))
	download := func(ctx context.Context) error {
		if _, err := mutex.ForceUnlock(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	publish := func(context.Context) error { return nil }

	err := relock.Do(ctx, mutex, func(ctx context.Context, lease *relock.Lease) error {
		if err := download(ctx); err != nil { // ctx ends when the lock is lost
			return err
		}
		if err := lease.Err(); err != nil { // reads the clock: right even after a long pause
			return err
		}
		return publish(ctx)
	})
	if errors.Is(err, relock.ErrLost) {
		fmt.Println("lost: another may have the lock by now")
	}
	// Output: lost: another may have the lock by now
}

// Without Do: the lease's context says when it ended, and why.
func ExampleLease_Context() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()

	lease, err := client.Mutex("import", relock.WithLease(200*time.Millisecond)).Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	<-lease.Context().Done() // at ValidUntil at the latest, whether or not Redis can be reached
	fmt.Println("cause is ErrLost:", errors.Is(context.Cause(lease.Context()), relock.ErrLost))
	fmt.Println("Unlock says so too:", errors.Is(lease.Unlock(ctx), relock.ErrLost))
	// Output:
	// cause is ErrLost: true
	// Unlock says so too: true
}

// A fixed lease ends by itself; the watchdog keeps the other alive.
func ExampleWithLease() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()

	watched, err := client.Mutex("import", relock.WithTTL(time.Second)).Lock(ctx) // renewed while this process lives
	if err != nil {
		log.Fatal(err)
	}
	defer watched.Unlock(ctx)
	fixed, err := client.Mutex("mail", relock.WithLease(1200*time.Millisecond)).Lock(ctx) // never renewed
	if err != nil {
		log.Fatal(err)
	}
	<-fixed.Context().Done() // by itself, after 1.2 s

	fmt.Println("fixed: ", fixed.Err())
	fmt.Println("watched:", watched.Err())
	// Output:
	// fixed:  relock: lease lost
	// watched: <nil>
}

// More time, by hand and with a bound.
func ExampleLease_Extend() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()

	mutex := client.Mutex("crawl", relock.WithLease(time.Minute), relock.WithMaxHold(time.Hour))
	lease, err := mutex.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	if err := lease.Extend(ctx, 5*time.Minute); err != nil { // valid for five minutes from now, at least
		log.Fatal(err)
	}
	fmt.Println(time.Until(lease.ValidUntil()).Round(time.Minute))
	fmt.Println("past its hour:", errors.Is(lease.Extend(ctx, 2*time.Hour), relock.ErrInvalid))
	// Output:
	// 5m0s
	// past its hour: true
}

// A rate limit: whoever has the lock leaves it to run out, and may exit at once.
func ExampleLease_Detach() {
	addr, stop := startRedis()
	defer stop()
	ctx := context.Background()

	run := func() { // of a process
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		defer rdb.Close()
		client, err := relock.New(rdb)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()

		lease, err := client.Mutex("mail", relock.WithLease(time.Minute)).TryLock(ctx)
		switch {
		case errors.Is(err, relock.ErrNotAcquired):
			fmt.Println("no: one was sent within the minute")
		case err != nil:
			log.Fatal(err)
		case lease.Detach() == nil: // taken until the minute is over, whatever becomes of this process
			fmt.Println("yes: one mail")
		}
	}
	for range 3 {
		run()
	}
	// Output:
	// yes: one mail
	// no: one was sent within the minute
	// no: one was sent within the minute
}

// runNightly is called on each host, by cron, gocron or a ticker.
func runNightly(ctx context.Context, client *relock.Client) error {
	nightly := client.Mutex("nightly", relock.WithWait(0), relock.WithMinHold(20*time.Second))
	err := relock.Do(ctx, nightly, func(ctx context.Context, lease *relock.Lease) error {
		fmt.Println("once in the fleet")
		return lease.Err()
	})
	if errors.Is(err, relock.ErrNotAcquired) {
		return nil // it is another host's
	}
	return err
}

// A job that every host's scheduler starts runs once in the fleet, though it is over
// before the last host has tried.
func ExampleWithMinHold() {
	client, _, stop := connect()
	defer stop()
	for range 3 {
		if err := runNightly(context.Background(), client); err != nil {
			log.Fatal(err)
		}
	}
	// Output: once in the fleet
}
