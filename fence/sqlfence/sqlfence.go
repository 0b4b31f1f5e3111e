package sqlfence

import (
	"database/sql"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/relock-go/relock"
)

// Defaults and limits.
const (
	DefaultTable       = "relock_fence"
	DefaultIdleTimeout = relock.DefaultTTL

	MaxResource = 512 // bytes of a resource's name
)

// A Fence is the table of claims in one database. It is safe for concurrent use.
type Fence struct {
	db      *sql.DB
	set     settings
	dialect *dialect
	table   string // quoted, with its schema
}

// settings are a Fence's, with the first thing that is wrong with them.
type settings struct {
	table, schema string
	isolation     sql.IsolationLevel
	idle          time.Duration
	idleSet       bool
	err           error
}

func (s *settings) fail(format string, args ...any) {
	if s.err == nil {
		s.err = invalid(format, args...)
	}
}

// Option configures a [Fence].
type Option func(*settings)

// WithTable names the table (default [DefaultTable]): letters, digits and _, at
// most 63 bytes, and no digit first. All fences of a resource must be in one table.
func WithTable(name string) Option {
	return func(s *settings) {
		s.table = name
		s.checkIdentifier("WithTable", name)
	}
}

// WithSchema names the schema of the table, which must be there: on MySQL and
// MariaDB a database, on SQLite an attached one (default: the connection's). It is
// written like a table's name.
func WithSchema(name string) Option {
	return func(s *settings) {
		s.schema = name
		s.checkIdentifier("WithSchema", name)
	}
}

// WithIsolation sets the isolation level of the transactions that Do opens
// (default: the database's own). The fence holds at each.
func WithIsolation(level sql.IsolationLevel) Option {
	return func(s *settings) { s.isolation = level }
}

// WithIdleTimeout sets for how long a transaction may be idle between two
// statements once it has claimed, on PostgreSQL (default [DefaultIdleTimeout],
// between 1 ms and 24 h; 0: as the server is configured). A holder that is stopped
// in its transaction blocks the next one for so long; then the server ends its
// session, and nothing of the transaction is kept. It should not be less than what
// the holder does between two statements, nor much more than the lock's TTL.
//
// The other databases have no such bound for one transaction: New returns
// [relock.ErrInvalid]. On MariaDB set idle_transaction_timeout, in seconds, in the
// data source name.
func WithIdleTimeout(d time.Duration) Option {
	return func(s *settings) {
		s.idle, s.idleSet = d, true
		if d != 0 && (d < time.Millisecond || d > 24*time.Hour) {
			s.fail("WithIdleTimeout(%v): 0, or between 1ms and 24h", d)
		}
	}
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

func (s *settings) checkIdentifier(option, name string) {
	if !identifier.MatchString(name) {
		s.fail("%s(%q): 1 to 63 letters, digits and _, and no digit first", option, name)
	}
}

// New returns a Fence in db. It does no I/O; the table must be there when it is
// used ([Fence.Migrate]). It returns [relock.ErrInvalid] for a nil db, for a
// dialect that it does not know or cannot tell from the driver, and for a wrong
// option.
func New(db *sql.DB, d Dialect, opts ...Option) (*Fence, error) {
	if db == nil {
		return nil, invalid("a nil *sql.DB")
	}
	set := settings{table: DefaultTable, idle: DefaultIdleTimeout}
	for _, o := range opts {
		if o == nil {
			set.fail("a nil Option")
			continue
		}
		o(&set)
	}
	if set.err != nil {
		return nil, set.err
	}
	f := &Fence{db: db, set: set}
	if d == FromDriver {
		d = dialectOf(reflect.TypeOf(db.Driver()))
	}
	f.dialect = dialects[strings.ToLower(string(d))]
	switch {
	case f.dialect == nil && d == FromDriver:
		return nil, invalid("the driver %T tells no dialect: name one of %q, %q, %q", db.Driver(), PostgreSQL, MySQL, SQLite)
	case f.dialect == nil:
		return nil, invalid("dialect %q: not one of %q, %q, %q", d, PostgreSQL, MySQL, SQLite)
	case set.idleSet && !f.dialect.bounds:
		return nil, invalid("WithIdleTimeout: %s bounds no transaction of its own; on MariaDB set idle_transaction_timeout in the data source name", d)
	}
	f.table = f.dialect.quoted(set.table)
	if set.schema != "" {
		f.table = f.dialect.quoted(set.schema) + "." + f.table
	}
	return f, nil
}

// statement is one of the dialect's on the table.
func (f *Fence) statement(text string) string {
	bound := "RETURNING set_config('idle_in_transaction_session_timeout', '" + strconv.FormatInt(f.set.idle.Milliseconds(), 10) + "', true)"
	if f.set.idle == 0 {
		bound = ""
	}
	schema := ""
	if f.set.schema != "" {
		schema = f.dialect.quoted(f.set.schema) + "."
	}
	return strings.NewReplacer("{table}", f.table, "{bound}", bound, "{schema}", schema).Replace(text)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: sqlfence: %s", relock.ErrInvalid, fmt.Sprintf(format, args...))
}
