package relock_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// A Guard refuses the late write of a holder that has been overtaken.
func ExampleGuard() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	const key = "stock:apples"
	slow := take(ctx, client.Mutex("stock", relock.WithLease(100*time.Millisecond)))
	<-slow.Context().Done()

	guard := relock.NewGuard(rdb)
	err := relock.Do(ctx, client.Mutex("stock"), func(ctx context.Context, lease *relock.Lease) error {
		holder := lease.Sequencer()                           // lock, token and owner
		if err := guard.Claim(ctx, key, holder); err != nil { // before the first read
			return err
		}
		apples, err := rdb.Get(ctx, key).Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return guard.Set(ctx, key, holder, apples+1, 0)
	})
	if err != nil {
		log.Fatal(err)
	}
	err = guard.Set(ctx, key, slow.Sequencer(), 99, 0) // a holder from before that wakes up late
	fmt.Println("refused:", errors.Is(err, relock.ErrStaleToken))

	fmt.Println("apples:", rdb.Get(ctx, key).Val())
	// Output:
	// refused: true
	// apples: 1
}

// A write of your own, under the Guard's check, in one script.
func ExampleGuard_Eval() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	lease := take(ctx, client.Mutex("stock"))
	defer lease.Unlock(ctx)
	guard := relock.NewGuard(rdb)

	left, err := guard.Eval(ctx, "stock:apples", lease.Sequencer(),
		`return redis.call('INCRBY', KEYS[1], ARGV[1])`, nil, 12)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("apples:", left)
	// Output: apples: 12
}

// profiles is a service that keeps profiles in Redis for callers that hold the
// lock "profiles".
func profiles(guard *relock.Guard) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		holder, err := relock.ParseSequencer(r.Header.Get("Lock-Sequencer"))
		if err != nil || holder.Name != "profiles" { // tokens of other locks say nothing here
			http.Error(w, "no lock", http.StatusBadRequest)
			return
		}
		profile, _ := io.ReadAll(r.Body)
		switch err := guard.Set(r.Context(), "profile:7", holder, profile, 0); {
		case errors.Is(err, relock.ErrStaleToken):
			http.Error(w, "overtaken", http.StatusConflict)
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}
}

// The token travels with the request to whoever does the write.
func ExampleSequencer() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	service := profiles(relock.NewGuard(rdb))
	put := func(lease *relock.Lease, profile string) (status int) {
		holder, err := lease.Sequencer().MarshalText()
		if err != nil {
			log.Fatal(err)
		}
		req := httptest.NewRequestWithContext(ctx, http.MethodPut, "/profile/7", strings.NewReader(profile))
		req.Header.Set("Lock-Sequencer", string(holder))

		w := httptest.NewRecorder()
		service(w, req)
		return w.Code
	}

	slow := take(ctx, client.Mutex("profiles"))
	_ = slow.Unlock(ctx)
	next := take(ctx, client.Mutex("profiles"))
	defer next.Unlock(ctx)

	fmt.Println(put(next, "new"), put(slow, "late"))
	// Output: 200 409
}

// deposit adds to an account, unless a later holder of the lock has been there.
func deposit(ctx context.Context, db *sql.DB, lease *relock.Lease, id string, amount int64) error {
	var balance int64
	err := db.QueryRowContext(ctx, `
		UPDATE accounts SET fence = $1, fence_owner = $2
		WHERE id = $3 AND (fence < $1 OR fence = $1 AND fence_owner = $2)
		RETURNING balance`, lease.Token(), lease.Owner(), id).Scan(&balance) // claims with the first read
	if err == nil {
		err = db.QueryRowContext(ctx, `
			UPDATE accounts SET balance = $4
			WHERE id = $3 AND fence = $1 AND fence_owner = $2
			RETURNING balance`, lease.Token(), lease.Owner(), id, balance+amount).Scan(&balance)
	}
	if errors.Is(err, sql.ErrNoRows) { // no such account, or overtaken
		return relock.ErrStaleToken
	}
	return err
}

// The same rule in a SQL database: the row remembers the greatest token, and a
// smaller one changes nothing.
func ExampleToken_sql() {
	client, _, stop := connect()
	defer stop()
	ctx := context.Background()
	table := &account{}
	db := sql.OpenDB(table)
	defer db.Close()

	slow := take(ctx, client.Mutex("account-7"))
	_ = slow.Unlock(ctx)
	next := take(ctx, client.Mutex("account-7"))
	defer next.Unlock(ctx)

	fmt.Println(deposit(ctx, db, next, "7", 100))
	fmt.Println(deposit(ctx, db, slow, "7", 5))
	fmt.Println("balance:", table.balance)
	// Output:
	// <nil>
	// relock: stale token
	// balance: 100
}

// account stands in for a database, so that the example needs no driver: a
// table of one row that knows the two statements of deposit.
type account struct {
	fence, balance int64
	fenceOwner     string
}

func (a *account) Connect(context.Context) (driver.Conn, error) { return a, nil }
func (a *account) Driver() driver.Driver                        { return nil }
func (a *account) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }

func (a *account) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }
func (a *account) Close() error              { return nil }

func (a *account) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	fence, owner := args[0].Value.(int64), args[1].Value.(string)
	same := a.fence == fence && a.fenceOwner == owner
	switch claims := strings.Contains(query, "fence < $1"); {
	case claims && (a.fence < fence || same):
		a.fence, a.fenceOwner = fence, owner
	case !claims && same:
		a.balance = args[3].Value.(int64)
	default:
		return &balances{}, nil
	}
	return &balances{a.balance}, nil
}

// balances is what RETURNING balance returns.
type balances []int64

func (b *balances) Columns() []string { return []string{"balance"} }
func (b *balances) Close() error      { return nil }

func (b *balances) Next(row []driver.Value) error {
	if len(*b) == 0 {
		return io.EOF
	}
	row[0], *b = (*b)[0], (*b)[1:]
	return nil
}
