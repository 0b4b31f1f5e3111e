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
