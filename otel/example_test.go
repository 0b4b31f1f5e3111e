package relockotel_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	relockotel "github.com/relock-go/relock/otel"
)

func Example() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()

	tracer, err := relockotel.New() // of the global providers, or WithTracerProvider, WithMeterProvider
	if err != nil {
		log.Fatal(err)
	}
	client, err := relock.New(rdb, relock.WithTracer(tracer))
	if err != nil {
		log.Fatal(err)
	}
	stop, err := tracer.Observe(client) // how many are held and wait now; also of a RedLock
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	defer client.Close()

	err = relock.Do(context.Background(), client.Mutex("invoice/42"), func(context.Context, *relock.Lease) error {
		fmt.Println("held:", client.Stats().Held)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// held: 1
}

func ExampleWithMetricName() {
	_, err := relockotel.New(
		relockotel.WithMetricName(func(lock string) string { // "invoice" of "invoice/42"
			class, _, _ := strings.Cut(lock, "/")
			return class
		}),
	)
	fmt.Println(err)
	// Output:
	// <nil>
}
