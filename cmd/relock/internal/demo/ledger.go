package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// account is the shared record. Sum chains it to every deposit before it: a
// writer that has not seen one of them breaks the chain.
type account struct {
	Balance  int64  `json:"balance"`
	Deposits int64  `json:"deposits"`
	Sum      string `json:"sum"`
}

// entry is one deposit in the history, in the order in which the storage
// accepted them.
type entry struct {
	Token     int64   `json:"token"`
	Worker    int     `json:"worker"`
	Goroutine int     `json:"goroutine"`
	Amount    int64   `json:"amount"`
	Read      string  `json:"read"`  // the sum that the writer had read
	After     account `json:"after"` // what it wrote
}

// deposit returns the entry that adds amount to a.
func (a account) deposit(token int64, worker, goroutine int, amount int64) entry {
	return entry{
		Token: token, Worker: worker, Goroutine: goroutine, Amount: amount, Read: a.Sum,
		After: account{Balance: a.Balance + amount, Deposits: a.Deposits + 1, Sum: chain(a, token, amount)},
	}
}

func chain(a account, token, amount int64) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d %d", a.Sum, a.Balance, a.Deposits, token, amount))
	return hex.EncodeToString(h[:8])
}

// ledger is the account and its history in Redis, in one slot of a cluster.
type ledger struct {
	rdb              redis.UniversalClient
	guard            *relock.Guard
	account, history string
}

// keepFor is how long what a run leaves behind is kept: one that is killed
// cannot clean up.
const keepFor = time.Hour

func newLedger(rdb redis.UniversalClient, run string) *ledger {
	return &ledger{
		rdb: rdb, guard: relock.NewGuard(rdb, relock.WithFenceRetention(keepFor)),
		account: "relock-demo:{" + run + "}:account", history: "relock-demo:{" + run + "}:history",
	}
}

func lockName(run string) string { return "relock-demo:{" + run + "}" }

// read returns the account; a new one is empty. The claim comes first: from
// there on nobody whom s has overtaken can write.
func (l *ledger) read(ctx context.Context, s relock.Sequencer) (account, error) {
	if err := l.guard.Claim(ctx, l.account, s); err != nil {
		return account{}, err
	}
	return l.peek(ctx)
}

func (l *ledger) peek(ctx context.Context) (account, error) {
	var a account
	text, err := l.rdb.Get(ctx, l.account).Bytes()
	if errors.Is(err, redis.Nil) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read the account: %w", err)
	}
	return a, json.Unmarshal(text, &a)
}

const writeScript = `
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[2])
return redis.call('EXPIRE', KEYS[2], ARGV[3])`

// write stores e's account and appends e to the history, or refuses both with
// ErrStaleToken.
func (l *ledger) write(ctx context.Context, s relock.Sequencer, e entry) error {
	acct, err := json.Marshal(e.After)
	if err != nil {
		return err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = l.guard.Eval(ctx, l.account, s, writeScript, []string{l.history}, acct, line, int(keepFor.Seconds()))
	return err
}

// all returns the account and its whole history.
func (l *ledger) all(ctx context.Context) (account, []entry, error) {
	a, err := l.peek(ctx)
	if err != nil {
		return a, nil, err
	}
	var history []entry
	const page = 1000
	for {
		from := int64(len(history))
		lines, err := l.rdb.LRange(ctx, l.history, from, from+page-1).Result()
		if err != nil {
			return a, nil, fmt.Errorf("read the history: %w", err)
		}
		for _, line := range lines {
			var e entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				return a, nil, fmt.Errorf("entry %d of the history: %w", len(history)+1, err)
			}
			history = append(history, e)
		}
		if len(lines) < page {
			return a, history, nil
		}
	}
}

func (l *ledger) remove(ctx context.Context) error {
	return l.rdb.Del(ctx, l.account, l.history).Err()
}
