// Package sqlfence keeps fencing tokens in a SQL database, in a table of its own,
// so that a write on behalf of a lock's holder is refused once a later holder has
// been there. It needs no columns in the caller's tables, and no SQL.
//
//	fence, err := sqlfence.New(db, sqlfence.FromDriver)
//	...
//	err = relock.Do(ctx, mutex, func(ctx context.Context, lease *relock.Lease) error {
//		return fence.Do(ctx, "account:7", lease.Sequencer(), func(tx *sql.Tx) error {
//			// read, change and write
//		})
//	})
//
// It speaks to PostgreSQL, MySQL, MariaDB and SQLite, by package database/sql, and
// brings no driver.
//
// # The rule
//
// A resource is whatever name the caller gives to what one lock guards. The table
// has a row for each, with the lock, the token and the owner that claimed it last:
//
//	resource | lock_name | token | owner | claimed
//
// A claim is accepted if the row is not there, or is of the same lock and of a
// smaller token, or of the same token and owner. Its transaction then holds the
// row: whoever claims it next waits for the end of that transaction, and sees what
// it wrote. So the transactions that claim a resource do their work one after the
// other, their tokens never fall, and none overwrites what it has not read. That
// holds at every isolation level, as long as
//
//   - the claim comes before the first read of the transaction (Do sees to that;
//     with [Fence.Claim] the caller does),
//   - every write to the data is in a transaction that has claimed them, and
//   - the database loses nothing that it committed (a replica that was promoted
//     without the last transactions has lost the last claims as well).
//
// # Who waits for whom
//
// A holder that is stopped inside of its transaction keeps the row, and the next
// one waits for it, though the lock is its own by then. The transaction ends with
// the context that Do was given, which is the lease's in [relock.Do]; but a process
// that does not run cannot end it. On PostgreSQL the server does
// ([WithIdleTimeout]). On MariaDB it does with idle_transaction_timeout in the data
// source name; MySQL has no such bound but that of the connection, and SQLite
// none.
//
// # Conflicts
//
// Do repeats a claim that lost to another transaction (a serialization failure, a
// deadlock, a database that is busy), in a new transaction, until ctx ends: nothing
// of the caller's has run by then. It never runs fn twice. Where fn or the commit
// fails by such a conflict, [Fence.Retryable] says so, and the caller may call Do
// again.
package sqlfence
