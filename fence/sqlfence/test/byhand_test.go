package test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/relock-go/relock"
)

// ruleOf is the three statements that a document of the repository has for those
// who keep the fence in columns of their own.
func ruleOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^(//\t)?| +--.*$`).ReplaceAllString(string(text), "")
	begin := strings.Index(lines, "UPDATE account SET fence")
	if begin < 0 {
		t.Fatalf("%s has no rule", file)
	}
	all := strings.SplitN(lines[begin:], ";", 4)
	if len(all) < 4 {
		t.Fatalf("%s has %d statements, want 3", file, len(all)-1)
	}
	return all[:3]
}

// bind writes a statement with $1, $2... in any order as the base wants it.
func (b *base) bind(text string, args ...any) (string, []any) {
	var bound []any
	n := 0
	text = placeholder.ReplaceAllStringFunc(text, func(p string) string {
		i, _ := strconv.Atoi(p[1:])
		bound = append(bound, args[i-1])
		if n++; b.driver == "pgx" {
			return "$" + strconv.Itoa(n)
		}
		return "?"
	})
	return text, bound
}

// byHand is the rule in a transaction.
func (b *base) byHand(ctx context.Context, db *sql.DB, rule []string, s relock.Sequencer, after func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	statement, args := b.bind(rule[0], s.Token, s.Owner, 1)
	if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
		return err
	}
	var balance int64
	statement, args = b.bind(rule[1], s.Token, s.Owner, 1)
	err = tx.QueryRowContext(ctx, statement, args...).Scan(&balance)
	if errors.Is(err, sql.ErrNoRows) {
		return relock.ErrStaleToken
	}
	if err != nil {
		return err
	}
	statement, args = b.bind(rule[2], nil, nil, 1, balance+1)
	if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
		return err
	}
	if err := after(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// What doc.go and docs/fencing.md say holds on every database: no update is lost,
// none comes out of order, and a holder may claim again.
func TestTheRuleOfTheDocumentsHolds(t *testing.T) {
	for _, file := range []string{"doc.go", "docs/fencing.md"} {
		rule := ruleOf(t, file)
		onEach(t, func(t *testing.T, b *base) {
			db, f := b.fence(t)
			run(t, db, "ALTER TABLE account ADD COLUMN fence bigint NOT NULL DEFAULT 0")
			run(t, db, "ALTER TABLE account ADD COLUMN fence_owner varchar(128) NOT NULL DEFAULT ''")
			none := func(*sql.Tx) error { return nil }
			for i, c := range []struct {
				token   int64
				owner   relock.Owner
				refused bool
			}{{5, "a", false}, {5, "a", false}, {5, "b", true}, {4, "a", true}, {7, "b", false}, {7, "b", false}, {5, "a", true}} {
				err := b.byHand(bg, db, rule, at(c.token, c.owner), none)
				if errors.Is(err, relock.ErrStaleToken) != c.refused || err != nil && !c.refused {
					t.Errorf("%s: claim %d, token %d of %s: %v; to be refused: %v", file, i+1, c.token, c.owner, err, c.refused)
				}
			}
			if got := balance(t, db, 1); got != 4 {
				t.Errorf("%s: the account has %d, want 4", file, got)
			}
			run(t, db, "UPDATE account SET fence = 0, fence_owner = ''")
			r := newRace(t, b, db)
			r.retryable = f.Retryable
			got := r.run(t, db, func(s relock.Sequencer, _ func(execer) error) error {
				return b.byHand(bg, db, rule, s, func(tx *sql.Tx) error {
					_, err := tx.Exec(b.sql("INSERT INTO history (token) VALUES ($1)"), s.Token)
					return err
				})
			})
			if got.lost != 0 || got.outOfOrder != 0 || got.stale == 0 || got.written == 0 {
				t.Errorf("%s: got %+v", file, got)
			}
		})
	}
}
