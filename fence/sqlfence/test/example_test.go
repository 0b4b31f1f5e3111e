package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

// connect connects to an embedded Redis, and to a SQLite of one table.
func connect() (*relock.Client, *sql.DB, func()) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		log.Fatal(err)
	}
	m.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	client, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE accounts (id text PRIMARY KEY, balance bigint); INSERT INTO accounts VALUES ('7', 0)"); err != nil {
		log.Fatal(err)
	}
	return client, db, func() {
		_ = client.Close()
		_ = rdb.Close()
		m.Close()
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

// deposit adds to an account, unless a later holder of the lock has been there.
func deposit(ctx context.Context, fence *sqlfence.Fence, lease *relock.Lease, id string, amount int64) error {
	return fence.Do(ctx, "account:"+id, lease.Sequencer(), func(tx *sql.Tx) error { // claims first
		var balance int64
		if err := tx.QueryRowContext(ctx, "SELECT balance FROM accounts WHERE id = $1", id).Scan(&balance); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = $1 WHERE id = $2", balance+amount, id)
		return err
	})
}

// The late write of a holder that has been overtaken is refused.
func Example() {
	client, db, stop := connect()
	defer stop()
	ctx := context.Background()
	slow, err := client.Mutex("account-7").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_ = slow.Unlock(ctx)

	fence, err := sqlfence.New(db, sqlfence.FromDriver) // PostgreSQL, MySQL, MariaDB or SQLite
	if err != nil {
		log.Fatal(err)
	}
	if err := fence.Migrate(ctx); err != nil { // creates its table
		log.Fatal(err)
	}
	err = relock.Do(ctx, client.Mutex("account-7"), func(ctx context.Context, lease *relock.Lease) error {
		return deposit(ctx, fence, lease, "7", 100)
	})
	if err != nil {
		log.Fatal(err)
	}
	err = deposit(ctx, fence, slow, "7", 5) // a holder from before that wakes up late
	fmt.Println("refused:", errors.Is(err, relock.ErrStaleToken))

	var balance int
	_ = db.QueryRow("SELECT balance FROM accounts").Scan(&balance)
	fmt.Println("balance:", balance)
	// Output:
	// refused: true
	// balance: 100
}

// A transaction of one's own claims by its first statement.
func Example_claim() {
	client, db, stop := connect()
	defer stop()
	ctx := context.Background()
	lease, err := client.Mutex("account-7").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fence, err := sqlfence.New(db, sqlfence.SQLite, sqlfence.WithTable("claims"))
	if err != nil {
		log.Fatal(err)
	}
	if err := fence.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback()
	if err := fence.Claim(ctx, tx, "account:7", lease.Sequencer()); err != nil { // before the first read
		log.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance + 1 WHERE id = $1", "7"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tx.Commit())
	// Output: <nil>
}

// A transfer claims both accounts, in the order of their names.
func Example_doAll() {
	client, db, stop := connect()
	defer stop()
	ctx := context.Background()
	lease, err := client.Mutex("accounts").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fence, err := sqlfence.New(db, sqlfence.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	if err := fence.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	both := map[string]relock.Sequencer{"account:7": lease.Sequencer(), "account:9": lease.Sequencer()}
	err = fence.DoAll(ctx, both, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance - 5 WHERE id = $1", "7")
		return err
	})
	fmt.Println(err)
	last, err := fence.Last(ctx, "account:9")
	fmt.Println(last.Token == lease.Token(), err)
	// Output:
	// <nil>
	// true <nil>
}
