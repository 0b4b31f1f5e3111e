package relock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/relock-go/relock"
)

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
