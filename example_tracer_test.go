package relock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/relock-go/relock"
)

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
