package test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock/fence/sqlfence/test/internal/servers"
)

// BenchmarkCost sets a fenced transaction of one UPDATE beside the same one without
// the fence, turn by turn, on servers that wait for the disk at every commit.
func BenchmarkCost(b *testing.B) {
	servers.Stop()
	servers.Durable = true
	defer func() {
		servers.Stop()
		servers.Durable = false
	}()
	for _, c := range []struct{ name, setting string }{
		{"postgresql", ""}, {"mariadb", ""}, {"mariadb", "interpolateParams=true"}, {"sqlite", ""},
	} {
		b.Run(strings.TrimSuffix(c.name+" "+c.setting, " "), func(b *testing.B) {
			for _, s := range systems {
				if s.name == c.name {
					base := s.base(b)
					base.dsn = strings.Replace(base.dsn, "&_pragma=synchronous(OFF)", "", 1)
					cost(b, base, c.setting)
				}
			}
		})
	}
}

func cost(b *testing.B, on *base, setting string) {
	db, _ := on.fence(b)
	if setting != "" {
		db = on.open(b, setting)
	}
	f := newFence(b, db, on.dialect)
	update := on.sql("UPDATE account SET balance = balance + $1 WHERE id = 1")
	write := func(tx *sql.Tx) error {
		_, err := tx.ExecContext(bg, update, 1)
		return err
	}
	plain := func() error {
		tx, err := db.BeginTx(bg, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if err := write(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
	token := int64(0)
	fenced := func() error {
		token++
		return f.Do(bg, "account:1", at(token, "a"), write)
	}
	var took [2]time.Duration
	for b.Loop() {
		for i, one := range []func() error{plain, fenced} {
			began := time.Now()
			if err := one(); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(began)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[0].Microseconds())/float64(b.N), "plain-µs")
	b.ReportMetric(float64(took[1].Microseconds())/float64(b.N), "fenced-µs")
	b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
}
