// Command demo shows a fence in a SQL database: processes contend for one lock, to
// read, change and write one row. In the middle one of them is stopped between its
// read and its write until its lease is over and others went on; then it goes on
// too, and its late write is refused. At the end the history is checked. The exit
// status is 1 if anything was lost, or no stale write was refused.
//
//	go run ./demo                                        SQLite, in a temporary file
//	go run ./demo -db postgres://me@localhost/scratch    PostgreSQL
//	go run ./demo -db mysql://me:secret@localhost:3306/scratch    MySQL, MariaDB
//
// The lock is on an embedded Redis. In a database of yours it uses the tables
// relock_fence, relock_demo_account and relock_demo_history, and drops the last two.
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql" // "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	_ "modernc.org/sqlite"             // "sqlite"
)

// config is what a run is made of, and what a worker is told of it.
type config struct {
	Driver, DSN string
	Redis       string // address
	Goroutines  int
	TTL         time.Duration
}

func main() {
	if os.Getenv(workerEnv) != "" {
		if err := work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var cfg config
	db := flag.String("db", "", "`URL` of a database: postgres://, mysql:// (default: SQLite in a temporary file)")
	workers := flag.Int("workers", 3, "how many processes, two at least")
	flag.IntVar(&cfg.Goroutines, "goroutines", 4, "how many goroutines in each")
	flag.DurationVar(&cfg.TTL, "ttl", time.Second, "for how long the lock outlives a holder that is gone")
	duration := flag.Duration("duration", 6*time.Second, "how long they work")
	flag.Parse()
	if *workers < 2 || cfg.Goroutines < 1 {
		return fmt.Errorf("%d workers of %d goroutines: two of one at least", *workers, cfg.Goroutines)
	}
	dir, err := os.MkdirTemp("", "relock-sql-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if cfg.Driver, cfg.DSN, err = parse(*db, dir); err != nil {
		return err
	}
	s, err := newScene(ctx, cfg, *workers)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(ctx, *duration); err != nil {
		return err
	}
	return s.judge(ctx)
}

// parse makes a driver and its data source name of a URL.
func parse(raw, dir string) (driver, dsn string, err error) {
	if raw == "" {
		return "sqlite", "file:" + filepath.Join(dir, "demo.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)", nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", fmt.Errorf("-db is no URL") // which may hold a password
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		return "pgx", raw, nil
	case "mysql", "mariadb":
		at := "tcp(" + u.Host + ")"
		if socket := u.Query().Get("socket"); socket != "" {
			at = "unix(" + socket + ")"
		}
		password, _ := u.User.Password()
		return "mysql", fmt.Sprintf("%s:%s@%s/%s", u.User.Username(), password, at, strings.Trim(u.Path, "/")), nil
	}
	return "", "", fmt.Errorf("-db has scheme %q: postgres or mysql", u.Scheme)
}

func open(cfg config) (*sql.DB, error) { return sql.Open(cfg.Driver, cfg.DSN) }
