// Package servers starts database servers for tests: PostgreSQL and MariaDB, as
// their packages have them, each on a folder and a socket of its own. A server is
// started by the first test that asks for it and stopped by [Stop]; every test has
// a database of its own on it.
package servers

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	_ "modernc.org/sqlite"             // "sqlite"

	"github.com/relock-go/relock/internal/redistest"
)

// startWithin bounds the start of a server; it is no expectation of speed.
const startWithin = time.Minute

// Durable has servers that are started from here on wait for the disk at every
// commit, as they do by default. Tests do not need that.
var Durable bool

// A Server is one that can run here.
type Server struct {
	name, driver, user string
	first              string // the database that is there from the start
	binary             func(name string) (string, error)
	initialize         func(dir string) []string
	run                func(dir string) []string
	dsn                func(dir, database string) string

	process *process
	dir     string
	failed  error
}

// PostgreSQL and MariaDB are the servers there are.
var (
	PostgreSQL = &Server{
		name: "postgresql", driver: "pgx", user: "postgres", first: "postgres", binary: newest("/usr/lib/postgresql/*/bin/"),
		initialize: func(dir string) []string {
			return []string{"initdb", "-D", dir + "/data", "-A", "trust", "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8"}
		},
		run: func(dir string) []string {
			args := []string{"postgres", "-D", dir + "/data", "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=400", "-c", "log_min_messages=fatal"}
			if !Durable {
				args = append(args, "-c", "fsync=off")
			}
			return args
		},
		dsn: func(dir, database string) string { return "host=" + dir + " user=postgres dbname=" + database },
	}
	MariaDB = &Server{
		name: "mariadb", driver: "mysql", user: "mysql", first: "mysql", binary: newest("/usr/sbin/"),
		initialize: func(dir string) []string {
			return []string{"mariadb-install-db", "--no-defaults", "--datadir=" + dir + "/data", "--auth-root-authentication-method=normal", "--skip-test-db"}
		},
		run: func(dir string) []string {
			args := []string{"mariadbd", "--no-defaults", "--datadir=" + dir + "/data", "--socket=" + dir + "/s", "--skip-networking", "--pid-file=" + dir + "/pid", "--max-connections=400"}
			if !Durable {
				args = append(args, "--innodb-flush-log-at-trx-commit=2")
			}
			return args
		},
		dsn: func(dir, database string) string { return "root@unix(" + dir + "/s)/" + database },
	}
)

// newest finds a program on the PATH, or in the last of the folders of a pattern.
func newest(folders string) func(string) (string, error) {
	return func(name string) (string, error) {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		found, err := filepath.Glob(folders + name)
		if err != nil || len(found) == 0 {
			return "", fmt.Errorf("no %s on the PATH or in %s", name, folders)
		}
		return slices.Max(found), nil
	}
}

var databases atomic.Int64

// Database creates a database on the server for a test, and returns its data
// source name. It skips the test where there is no server, or fails it where
// servers are required.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	if s.process == nil && s.failed == nil {
		if s.failed = s.start(); s.failed != nil {
			s.Stop()
		}
	}
	if errors.Is(s.failed, errNotHere) {
		redistest.Missing(tb, "needs %s: %v", s.name, s.failed)
	}
	if s.failed != nil {
		tb.Fatal(s.failed)
	}
	name := fmt.Sprintf("t%d", databases.Add(1))
	db, err := sql.Open(s.driver, s.dsn(s.dir, s.first))
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		tb.Fatal(err)
	}
	return s.dsn(s.dir, name)
}

// errNotHere is why a server cannot be had on this machine.
var errNotHere = errors.New("not installed")

func (s *Server) start() error {
	user, err := unprivileged(s.user)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotHere, err)
	}
	if s.dir, err = os.MkdirTemp("", "relock-"+s.name+"-"); err != nil {
		return err
	}
	if err := user.own(s.dir); err != nil {
		return err
	}
	args := s.initialize(s.dir)
	if args[0], err = s.binary(args[0]); err != nil {
		return fmt.Errorf("%w: %w", errNotHere, err)
	}
	if said, err := user.command(s.dir, args).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, said)
	}
	args = s.run(s.dir)
	if args[0], err = s.binary(args[0]); err != nil {
		return fmt.Errorf("%w: %w", errNotHere, err)
	}
	if s.process, err = launchLogged(user, s.dir, args); err != nil {
		return err
	}
	return s.await()
}

// launchLogged starts a server whose output is in its folder.
func launchLogged(user *account, dir string, args []string) (*process, error) {
	log, err := os.Create(dir + "/log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := user.command(dir, args)
	cmd.Stdout, cmd.Stderr = log, log
	return launch(cmd)
}

// await returns when the server answers.
func (s *Server) await() error {
	db, err := sql.Open(s.driver, s.dsn(s.dir, s.first))
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(startWithin); ; {
		answer := db.Ping()
		if answer == nil {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-s.process.gone:
		case <-late:
		}
		said, _ := os.ReadFile(s.dir + "/log")
		return fmt.Errorf("%s does not start: %w\n%s", s.name, answer, said)
	}
}

// Stop ends what was started, and removes its folder.
func Stop() {
	PostgreSQL.Stop()
	MariaDB.Stop()
}

// Stop ends the server, if it was started. The next test that asks starts another.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.end()
		s.process = nil
	}
	_ = os.RemoveAll(s.dir)
}
