package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

func TestClaimsAreTakenInTheOrderOfTokens(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		now := relock.Token(time.Now().UnixMicro())
		want := int64(0)
		for i, c := range []struct {
			token   relock.Token
			owner   relock.Owner
			refused bool
		}{
			{5, "a", false},
			{5, "a", false}, // again
			{5, "b", true},  // issued twice, by a failover
			{4, "a", true},
			{7, "b", false},
			{5, "a", true},
			{7, "b", false},
			{100, "c", false}, // as a number, not as text
			{99, "d", true},
			{now, "d", false},
			{now - 1, "c", true},
			{now + 1, "c", false},
		} {
			err := f.Do(bg, "account:1", at(int64(c.token), c.owner), b.depositing(1))
			if !c.refused {
				want++
			}
			if errors.Is(err, relock.ErrStaleToken) != c.refused || err != nil && !c.refused {
				t.Errorf("claim %d, token %d of %s: got %v; to be refused: %v", i+1, c.token, c.owner, err, c.refused)
			}
		}
		if got := balance(t, db, 1); got != want {
			t.Errorf("%d deposits are in the account, %d were acknowledged", got, want)
		}
		if err := f.Do(bg, "account:2", at(1, "z"), nothing); err != nil {
			t.Errorf("another resource: %v", err)
		}
	})
}

func TestARefusalSaysWhoWasThere(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		_, f := b.fence(t)
		wantErr(t, "the later holder", f.Do(bg, "r", at(77, "later"), nothing), nil)
		err := f.Do(bg, "r", at(66, "earlier"), nothing)
		for _, part := range []string{"66", "77", "earlier", "later", `"r"`} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("the refusal %q does not name %s", err, part)
			}
		}
		other := at(78, "x")
		other.Name = "other"
		err = f.Do(bg, "r", other, nothing)
		if !errors.Is(err, relock.ErrInvalid) || errors.Is(err, relock.ErrStaleToken) || !strings.Contains(err.Error(), `"other"`) || !strings.Contains(err.Error(), `"accounts"`) {
			t.Errorf("a sequencer of another lock: got %v, want ErrInvalid and both names", err)
		}
		if got, err := f.Last(bg, "r"); err != nil || got.Sequencer != at(77, "later") {
			t.Errorf("the last holder is %v, %v", got, err)
		}
	})
}

func TestNothingIsKeptOfWhatFails(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		failed := errors.New("failed")
		wantErr(t, "the first", f.Do(bg, "r", at(1, "a"), b.depositing(1)), nil)
		wantErr(t, "an error of fn", f.Do(bg, "r", at(2, "b"), func(tx *sql.Tx) error {
			return errors.Join(b.deposit(bg, tx, 10), failed)
		}), failed)
		func() {
			defer func() {
				if got := recover(); got != failed {
					t.Errorf("the panic was %v", got)
				}
			}()
			_ = f.Do(bg, "r", at(3, "c"), func(tx *sql.Tx) error {
				_ = b.deposit(bg, tx, 10)
				panic(failed)
			})
		}()
		ctx, cancel := context.WithCancelCause(bg)
		wantErr(t, "a context that ends", f.Do(ctx, "r", at(4, "d"), func(tx *sql.Tx) error {
			err := b.deposit(bg, tx, 10)
			cancel(relock.ErrLost)
			return err
		}), relock.ErrLost)
		wantErr(t, "a context that has ended", f.Do(ctx, "r", at(4, "d"), b.depositing(10)), relock.ErrLost)
		wantErr(t, "a stale holder", f.Do(bg, "r", at(1, "z"), b.depositing(10)), relock.ErrStaleToken)
		if got := balance(t, db, 1); got != 1 {
			t.Errorf("the account has %d, want 1", got)
		}
		if got, err := f.Last(bg, "r"); err != nil || got.Sequencer != at(1, "a") {
			t.Errorf("the last holder is %v, %v", got, err)
		}
	})
}

// The next holder waits for the one before it, and sees what that one wrote.
func TestTransactionsOfAResourceFollowEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		for _, sooner := range []bool{false, true} {
			ctx := within(t)
			before := balance(t, db, 1)
			entered, done := make(chan struct{}), make(chan error)
			first, second := at(before+1, "first"), at(before+2, "second")
			if sooner {
				first, second = second, first // the stale one comes while the later one is inside
			}
			go func() {
				done <- f.Do(ctx, "r", first, func(tx *sql.Tx) error {
					close(entered)
					return b.deposit(ctx, tx, 1)
				})
			}()
			<-entered
			err := f.Do(ctx, "r", second, b.depositing(1))
			wantErr(t, "the one that was inside", <-done, nil)
			want := before + 2
			if sooner {
				wantErr(t, "the stale one", err, relock.ErrStaleToken)
				want--
			} else {
				wantErr(t, "the later one", err, nil)
			}
			if got := balance(t, db, 1); got != want {
				t.Errorf("the account has %d, want %d", got, want)
			}
		}
	})
}

func TestAClaimInATransactionOfTheCallers(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		in := func(s relock.Sequencer, end func(*sql.Tx) error) {
			t.Helper()
			tx, err := db.BeginTx(bg, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, "Claim", f.Claim(bg, tx, "r", s), nil)
			wantErr(t, "Claim again", f.Claim(bg, tx, "r", s), nil)
			wantErr(t, "deposit", b.deposit(bg, tx, 1), nil)
			wantErr(t, "end", end(tx), nil)
		}
		in(at(5, "a"), (*sql.Tx).Commit)
		in(at(9, "b"), (*sql.Tx).Rollback)
		in(at(6, "c"), (*sql.Tx).Commit)
		if got := balance(t, db, 1); got != 2 {
			t.Errorf("the account has %d, want 2", got)
		}
		tx, err := db.BeginTx(bg, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, "a stale Claim", f.Claim(bg, tx, "r", at(5, "a")), relock.ErrStaleToken)
		wantErr(t, "rollback", tx.Rollback(), nil)
		wantErr(t, "a Claim after the end", f.Claim(bg, tx, "r", at(7, "d")), sql.ErrTxDone)
	})
}

func TestSeveralResourcesAreClaimedTogether(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		_, f := b.fence(t)
		last := func(resource string) relock.Sequencer {
			h, err := f.Last(bg, resource)
			wantErr(t, "Last", err, nil)
			return h.Sequencer
		}
		other := relock.Sequencer{Name: "stock", Token: 3, Owner: "a"}
		wantErr(t, "both", f.DoAll(bg, map[string]relock.Sequencer{"z": at(5, "a"), "a": other}, nothing), nil)
		if last("z") != at(5, "a") || last("a") != other {
			t.Errorf("the last holders are %v and %v", last("z"), last("a"))
		}
		err := f.DoAll(bg, map[string]relock.Sequencer{"a": {Name: "stock", Token: 4, Owner: "b"}, "z": at(4, "b"), "n": at(4, "b")}, nothing)
		wantErr(t, "one of them stale", err, relock.ErrStaleToken)
		many := map[string]relock.Sequencer{}
		for r := range 10 {
			many[fmt.Sprint("r", r)] = at(5, "a")
		}
		wantErr(t, "many", f.DoAll(bg, many, nothing), nil)
		for r := range many {
			many[r] = at(4, "b")
		}
		for range 3 { // they are claimed in their order: the first is refused
			if err := f.DoAll(bg, many, nothing); err == nil || !strings.Contains(err.Error(), `"r0"`) {
				t.Errorf("got %v, want r0 refused", err)
			}
		}
		if last("a") != other || last("n") != (relock.Sequencer{}) {
			t.Errorf("of a refused claim is left: %v and %v", last("a"), last("n"))
		}
	})
}

func TestATableIsAClaimer(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		_, f := b.fence(t)
		c := f.Claimer()
		wantErr(t, "a claim", c.Claim(bg, "r", at(2, "b")), nil)
		wantErr(t, "a stale one", c.Claim(bg, "r", at(1, "a")), relock.ErrStaleToken)
		wantErr(t, "an invalid one", c.Claim(bg, "", at(3, "a")), relock.ErrInvalid)
		wantErr(t, "a write after it", f.Do(bg, "r", at(2, "b"), nothing), nil)
	})
}

func TestLastAndForget(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		if got, err := f.Last(bg, "r"); got != (sqlfence.Holder{}) || err != nil {
			t.Errorf("of nobody: %v, %v", got, err)
		}
		// A pool that speaks of times elsewhere.
		before := time.Now().Add(-time.Minute)
		wantErr(t, "a claim", f.Do(bg, "r", at(7, "\U0001F512 'x' \\"), nothing), nil)
		got, err := f.Last(bg, "r")
		if err != nil || got.Sequencer != at(7, "\U0001F512 'x' \\") || got.Claimed.Before(before) || got.Claimed.After(before.Add(2*time.Minute)) {
			t.Errorf("got %v, %v, want the claim of just now", got, err)
		}
		for _, ago := range []time.Duration{-time.Hour, 0, sqlfence.MinForget - time.Minute} {
			_, err := f.Forget(bg, time.Now().Add(-ago))
			wantErr(t, "Forget of too little", err, relock.ErrInvalid)
		}
		n, err := f.Forget(bg, time.Now().Add(-sqlfence.MinForget-time.Minute))
		if n != 0 || err != nil {
			t.Errorf("forgot %d, %v; want none", n, err)
		}
		for _, year := range []int{1, -200_000, -292_736, -300_000} {
			n, err := f.Forget(bg, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
			if n != 0 || err != nil {
				t.Errorf("before the year %d: forgot %d, %v; want none", year, n, err)
			}
		}
		wantErr(t, "another", f.Do(bg, "old", at(7, "a"), nothing), nil)
		run(t, db, "UPDATE relock_fence SET claimed = "+map[string]string{
			"postgresql": "claimed - interval '8 days'", "mariadb": "claimed - interval 8 day", "sqlite": "claimed - 8 * 86400 * 1000000",
		}[b.name]+" WHERE resource = 'old'")
		old, err := f.Last(bg, "old")
		if ago := got.Claimed.Sub(old.Claimed); err != nil || ago < 191*time.Hour || ago > 193*time.Hour {
			t.Errorf("claimed %v before, %v; want 8 days", ago, err)
		}
		if n, err = f.Forget(bg, time.Now().Add(-sqlfence.MinForget-time.Minute)); n != 1 || err != nil {
			t.Errorf("forgot %d, %v; want 1", n, err)
		}
		if old, err := f.Last(bg, "old"); old != (sqlfence.Holder{}) || err != nil {
			t.Errorf("what is forgotten: %v, %v", old, err)
		}
		if got, err := f.Last(bg, "r"); got.Token != 7 || err != nil {
			t.Errorf("what is not: %v, %v", got, err)
		}
	})
}

func TestManyMigrateAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db := b.open(t)
		db.SetMaxIdleConns(8)
		var f *sqlfence.Fence
		for round := range 20 {
			errs := make(chan error)
			f = newFence(t, db, sqlfence.FromDriver, sqlfence.WithTable(fmt.Sprint("fence_", round)))
			for range 8 {
				go func() { errs <- f.Migrate(bg) }()
			}
			for range 8 {
				wantErr(t, "Migrate", <-errs, nil)
			}
		}
		wantErr(t, "a claim", f.Do(bg, "r", at(7, "a"), nothing), nil)
		wantErr(t, "Migrate once more", f.Migrate(bg), nil)
		wantErr(t, "a stale claim", f.Do(bg, "r", at(6, "a"), nothing), relock.ErrStaleToken)
		run(t, db, f.Schema())
	})
}

// SQLite says at once that it is busy, where it is not told to wait.
func TestMigrateWaitsForABusyDatabase(t *testing.T) {
	b := baseOf(t, "sqlite")
	db := b.open(t)
	slow := begin(t, db, nil)
	run(t, slow, "CREATE TABLE account (id bigint)")
	b.dsn = strings.Replace(b.dsn, "busy_timeout(10000)", "busy_timeout(0)", 1)
	f := newFence(t, b.open(t), sqlfence.SQLite)
	ended, cancel := context.WithTimeoutCause(bg, 50*time.Millisecond, relock.ErrLost)
	defer cancel()
	wantErr(t, "Migrate until ctx ends", f.Migrate(ended), relock.ErrLost)
	done := make(chan error)
	go func() { done <- f.Migrate(within(t)) }()
	wantErr(t, "the other's commit", slow.Commit(), nil)
	wantErr(t, "Migrate", <-done, nil)
	wantErr(t, "a claim", f.Do(bg, "r", at(7, "a"), nothing), nil)
}
