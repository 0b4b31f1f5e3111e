package relock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/relock-go/relock"
)

// A job that every host's scheduler starts runs once in the fleet, though it is over
// before the last host has tried.
func ExampleWithMinHold() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()

	nightly := client.Mutex("nightly", relock.WithWait(0), relock.WithMinHold(20*time.Second))
	job := func() { // on each host, by cron, gocron or a ticker
		err := relock.Do(ctx, nightly, func(ctx context.Context, lease *relock.Lease) error {
			fmt.Println("once in the fleet")
			return lease.Err()
		})
		if err != nil && !errors.Is(err, relock.ErrNotAcquired) { // that one is another host's
			log.Print(err)
		}
	}

	for range 3 {
		job()
	}
	// Output: once in the fleet
}
