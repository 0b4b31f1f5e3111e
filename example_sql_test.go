package relock_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/relock-go/relock"
)

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
