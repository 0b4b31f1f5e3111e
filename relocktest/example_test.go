package relocktest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/relocktest"
)

// exampleT stands for the *testing.T of a test, which an example has not.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                         {}
func (t *exampleT) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Errorf(text string, args ...any) { log.Printf(text, args...) }
func (t *exampleT) Fatalf(text string, args ...any) { log.Fatalf(text, args...) }

func (t *exampleT) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

// A lock that is lost under its holder, whose late write a Guard refuses. In a
// test t is its *testing.T.
func ExampleServer_Lose() {
	t := &exampleT{}
	defer t.end()
	ctx := context.Background()
	srv := relocktest.New(t)
	client, guard := srv.Client(), relock.NewGuard(srv.Redis())

	err := relock.Do(ctx, client.Mutex("stock"), func(ctx context.Context, lease *relock.Lease) error {
		srv.Lose(lease)
		fmt.Println("lost:", errors.Is(lease.Err(), relock.ErrLost), "ended:", ctx.Err() != nil)

		err := relock.Do(context.Background(), client.Mutex("stock"), func(ctx context.Context, next *relock.Lease) error {
			return guard.Set(ctx, "stock:apples", next.Sequencer(), 12, 0)
		})
		if err != nil {
			return err
		}
		return guard.Set(context.Background(), "stock:apples", lease.Sequencer(), 99, 0)
	})
	fmt.Println("refused:", errors.Is(err, relock.ErrStaleToken))
	fmt.Println("apples:", srv.Redis().Get(ctx, "stock:apples").Val())
	// Output:
	// lost: true ended: true
	// refused: true
	// apples: 12
}

// Another process has the lock; then it has not.
func ExampleServer_Take() {
	t := &exampleT{}
	defer t.end()
	ctx := context.Background()
	srv := relocktest.New(t)
	report := srv.Client().Mutex("report")

	release := srv.Take("report")
	_, err := report.TryLock(ctx)
	fmt.Println("taken:", errors.Is(err, relock.ErrNotAcquired))
	release()
	_, err = report.TryLock(ctx)
	fmt.Println("free:", err == nil)
	// Output:
	// taken: true
	// free: true
}

// "Redis is down" is another error than "taken".
func ExampleServer_Down() {
	t := &exampleT{}
	defer t.end()
	ctx := context.Background()
	srv := relocktest.New(t, relock.WithCallTimeout(relock.MinTTL)) // the test need not wait for the default of 3 s
	report := srv.Client().Mutex("report")

	srv.Down()
	_, err := report.TryLock(ctx)
	fmt.Println("taken:", errors.Is(err, relock.ErrNotAcquired), "refused:", errors.Is(err, syscall.ECONNREFUSED))
	srv.Up()
	_, err = report.TryLock(ctx)
	fmt.Println("free:", err == nil)
	// Output:
	// taken: false refused: true
	// free: true
}

// A RedLock does without one of its servers, but not without two.
func ExampleNodes() {
	t := &exampleT{}
	defer t.end()
	ctx := context.Background()
	nodes := relocktest.NewNodes(t, 3)
	report := nodes.RedLock().Mutex("report")

	nodes[0].Down()
	lease, err := report.TryLock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	nodes.Lose(lease)
	fmt.Println("lost:", errors.Is(lease.Err(), relock.ErrLost))

	nodes[1].Down()
	_, err = report.TryLock(ctx)
	var quorum *relock.QuorumError
	fmt.Println("no quorum:", errors.As(err, &quorum))
	// Output:
	// lost: true
	// no quorum: true
}

// The code under test may make its own relock.Client.
func ExampleServer_Redis() {
	t := &exampleT{}
	defer t.end()
	start := func(rdb *redis.Client) (*relock.Client, error) { return relock.New(rdb, relock.WithPrefix("shop")) }

	srv := relocktest.New(t, relock.WithPrefix("shop")) // for Take
	client, err := start(srv.Redis())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	defer srv.Take("report")()
	st, err := client.Mutex("report").Status(context.Background())
	fmt.Println(st.Held, err)
	// Output: true <nil>
}
