package redlock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
)

// embedded starts n servers in this process; in earnest they are on machines
// that fail independently.
func embedded(n int) (clients []*relock.Client, stop func()) {
	var stops []func()
	for range n {
		server, err := miniredis.Run()
		if err != nil {
			log.Fatal(err)
		}
		rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
		c, err := relock.New(rdb)
		if err != nil {
			log.Fatal(err)
		}
		clients = append(clients, c)
		stops = append(stops, func() { _, _ = c.Close(), rdb.Close(); server.Close() })
	}
	return clients, func() {
		for _, f := range stops {
			f()
		}
	}
}

func ExampleNew() {
	clients, stop := embedded(5)
	defer stop()
	red, err := redlock.New(clients)
	if err != nil {
		log.Fatal(err)
	}
	defer red.Close()

	err = relock.Do(context.Background(), red.Mutex("report"), func(ctx context.Context, lease *relock.Lease) error {
		fmt.Println("held, with a token for the storage:", lease.Token() > 0)
		return ctx.Err()
	})
	fmt.Println("error:", err)
	// Output:
	// held, with a token for the storage: true
	// error: <nil>
}

func ExampleNewMultiLock() {
	clients, stop := embedded(2)
	defer stop()
	from, to := clients[0].Mutex("account:1"), clients[1].Mutex("account:2")
	both, err := redlock.NewMultiLock(from, to)
	if err != nil {
		log.Fatal(err)
	}
	lease, err := both.Lock(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, member := range lease.Members() {
		fmt.Println(member.Name(), member.Token() > 0)
	}
	fmt.Println(lease.Unlock(context.Background()))
	// Output:
	// account:1 true
	// account:2 true
	// <nil>
}
