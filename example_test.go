package relock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// startRedis starts a Redis inside this process: the examples need nothing
// installed.
func startRedis() (addr string, stop func()) {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		log.Fatal(err)
	}
	return m.Addr(), m.Close
}

// connect starts a Redis and connects to it as one process would.
func connect() (client *relock.Client, rdb *redis.Client, stop func()) {
	addr, stopRedis := startRedis()
	rdb = redis.NewClient(&redis.Options{Addr: addr})
	client, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	return client, rdb, func() {
		_ = client.Close()
		_ = rdb.Close()
		stopRedis()
	}
}

// take locks l for an example in which somebody else has the lock.
func take(ctx context.Context, l relock.Locker) *relock.Lease {
	lease, err := l.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	return lease
}

func Example() {
	addr, stop := startRedis()
	defer stop()
	ctx := context.Background()

	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	client, err := relock.New(rdb) // one is enough for a process
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	err = relock.Do(ctx, client.Mutex("invoices"), func(ctx context.Context, lease *relock.Lease) error {
		fmt.Println("only one process at a time is here") // ctx ends if the lock is lost
		return lease.Err()
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: only one process at a time is here
}

func ExampleMutex_Lock() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	mutex := client.Mutex("report")
	defer take(ctx, mutex).Unlock(ctx)

	wait, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	lease, err := mutex.Lock(wait) // wait bounds the waiting, not the lease
	switch {
	case errors.Is(err, relock.ErrNotAcquired):
		fmt.Println("another has it; out of time:", errors.Is(err, context.DeadlineExceeded))
	case err != nil:
		fmt.Println("Redis did not answer, or refused:", err)
	default:
		defer lease.Unlock(ctx)
		fmt.Println("ours")
	}
	// Output: another has it; out of time: true
}

func ExampleMutex_TryLock() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	defer take(relock.WithOwner(ctx, "nightly-run"), client.Reentrant("report")).Unlock(ctx)

	lease, err := client.Mutex("report").TryLock(ctx) // one round trip, no waiting
	var taken *relock.NotAcquiredError
	if errors.As(err, &taken) {
		fmt.Printf("%s is held by %s\n", taken.Name, taken.Owner) // also its Token, Since and TTL
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	// Output: report is held by nightly-run
}

func ExampleWithWait() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	defer take(ctx, client.Mutex("report")).Unlock(ctx)
	build := func(context.Context) error { return nil }

	mutex := client.Mutex("report", relock.WithWait(50*time.Millisecond)) // 0 is one try
	err := relock.Do(ctx, mutex, func(ctx context.Context, _ *relock.Lease) error {
		return build(ctx)
	})
	if errors.Is(err, relock.ErrNotAcquired) {
		fmt.Println("another process is at it")
	}
	// Output: another process is at it
}

func ExampleReentrant() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()

	books := client.Reentrant("books")
	post := func(ctx context.Context, entry string) error { // locks for itself, so that anyone may call it
		lease, err := books.Lock(ctx)
		if err != nil {
			return err
		}
		defer lease.Unlock(ctx)
		fmt.Println("posted:", entry)
		return nil
	}

	lease, err := books.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	ctx = lease.Context() // says who we are: post re-enters, under the same token
	if err := errors.Join(post(ctx, "debit"), post(ctx, "credit")); err != nil {
		log.Fatal(err)
	}
	// Output:
	// posted: debit
	// posted: credit
}

func ExampleWithOwner() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	other, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()

	// Whoever gives this owner is the same holder, in any process.
	ctx = relock.WithOwner(ctx, "workflow-7")
	first, err := client.Reentrant("order-42").Lock(ctx) // in the process of one step
	if err != nil {
		log.Fatal(err)
	}
	second, err := other.Reentrant("order-42").Lock(ctx) // in the process of the next
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("same token:", first.Token() == second.Token())

	_ = first.Unlock(ctx)
	_, err = other.Mutex("order-42").TryLock(context.Background())
	fmt.Println("still held:", errors.Is(err, relock.ErrNotAcquired))
	_ = second.Unlock(ctx) // as many as there were Locks, in any order
	// Output:
	// same token: true
	// still held: true
}

func ExampleMutex_Status() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	take(relock.WithOwner(ctx, "importer-3"), client.Reentrant("import"))

	mutex := client.Mutex("import")
	status, err := mutex.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if status.Held { // by the server, when it was asked
		fmt.Printf("held %d time(s) by %s, %d waiting\n", status.Count, status.Owner, status.Waiters)
	}
	freed, err := mutex.ForceUnlock(ctx) // for an operator: takes it away and passes it on
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("freed:", freed)
	// Output:
	// held 1 time(s) by importer-3, 0 waiting
	// freed: true
}

// With Sentinel: go-redis follows the master.
func ExampleNew_sentinel() {
	ctx := context.Background()

	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:    "main",
		SentinelAddrs: []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
	})
	client, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	mutex := client.Mutex("billing", relock.WithReplicas(1, time.Second)) // a replica has it before Lock returns
	lease, err := mutex.Lock(ctx)
	if err != nil { // ErrNotReplicated: no replica had it in time, and it was released
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
}

// On a cluster: each lock lives on the shard of its name.
func ExampleNew_cluster() {
	ctx := context.Background()

	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"node-1:6379", "node-2:6379", "node-3:6379"},
	})
	client, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	mutex := client.Mutex("{customer-42}:orders") // without a hash tag of yours, the whole name is one
	lease, err := mutex.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
}

// alarm has the methods of the parts of a Tracer that it cares for, and no others.
type alarm struct{}

func (alarm) TraceLost(_ context.Context, e relock.Lost) {
	fmt.Printf("%s: lost: %s\n", e.Name, e.Reason) // also Owner, Token, Held
}

var _ relock.LostTracer = alarm{} // a method that is misspelt is found here

func ExampleWithTracer() {
	_, rdb, stop := connect()
	defer stop()
	ctx := context.Background()

	client, err := relock.New(rdb, relock.WithTracer(alarm{}))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	mutex := client.Mutex("import")
	lease := take(ctx, mutex)
	if _, err := mutex.ForceUnlock(ctx); err != nil {
		log.Fatal(err)
	}
	_ = lease.Unlock(ctx)
	stats := client.Stats() // also HandOffs, NotAcquired, Renewals, RenewFailures, ...
	fmt.Println(stats.Held, "held,", stats.Waiting, "waiting,", stats.Lost, "lost of", stats.Acquired)
	// Output:
	// import: lost: forced
	// 0 held, 0 waiting, 1 lost of 1
}
