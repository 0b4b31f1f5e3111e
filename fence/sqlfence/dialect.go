package sqlfence

import (
	"reflect"
	"slices"
	"strings"
)

// A Dialect is the SQL that a database speaks. "postgres", "pgx", "mariadb" and
// "sqlite3" are other names of these, in any case.
type Dialect string

// The dialects.
const (
	PostgreSQL Dialect = "postgresql"
	MySQL      Dialect = "mysql" // and MariaDB
	SQLite     Dialect = "sqlite"

	// FromDriver takes the driver's: those of pgx, lib/pq, go-sql-driver/mysql,
	// modernc.org/sqlite, mattn, ncruces and glebarez are known. A driver that is
	// wrapped in another is not.
	FromDriver Dialect = ""
)

var dialects = map[string]*dialect{
	"postgresql": postgresql, "postgres": postgresql, "pgx": postgresql,
	"mysql": mysql, "mariadb": mysql,
	"sqlite": sqlite, "sqlite3": sqlite,
}

// dialectOf tells a dialect by the package of a driver's type.
func dialectOf(driver reflect.Type) Dialect {
	if driver == nil {
		return FromDriver
	}
	for path, d := range map[string]Dialect{
		"github.com/jackc/pgx/": PostgreSQL, "github.com/lib/pq": PostgreSQL,
		"github.com/go-sql-driver/mysql": MySQL,
		"modernc.org/sqlite":             SQLite, "github.com/mattn/go-sqlite3": SQLite,
		"github.com/ncruces/go-sqlite3/": SQLite, "github.com/glebarez/go-sqlite": SQLite,
	} {
		if strings.HasPrefix(packageOf(driver)+"/", strings.TrimSuffix(path, "/")+"/") {
			return d
		}
	}
	return FromDriver
}

// A dialect is what differs. {table} is the table; {schema} its schema, with a
// point, if one was named.
type dialect struct {
	quote  string
	bounds bool // an idle transaction, by {bound}

	create string
	claim  string                                                       // of resource, lock, token, owner
	args   func(resource, lock string, token int64, owner string) []any // of claim, where not just these
	counts bool                                                         // the rows that claim has changed tell whether it was accepted
	last   string                                                       // the row of resource, for the claimant's own transaction
	read   string                                                       // the same, for anybody; with claimed in microseconds
	forget string                                                       // of microseconds
	exists string                                                       // how many tables have a name, where no code tells

	code     func(error) string
	conflict []string // the transaction lost to another, and is as if it had not been
	missing  []string // there is no such table
	readOnly []string
	race     []string // another has just created the table
}

func (d *dialect) quoted(name string) string { return d.quote + name + d.quote }

func (d *dialect) is(err error, codes []string) bool {
	return err != nil && slices.Contains(codes, d.code(err))
}

// onConflict takes a row of the same lock over from an earlier holder, and from
// this one.
const onConflict = `
ON CONFLICT (resource) DO UPDATE SET token = excluded.token, owner = excluded.owner, claimed = excluded.claimed
WHERE f.lock_name = excluded.lock_name AND (f.token < excluded.token OR f.token = excluded.token AND f.owner = excluded.owner)`

var postgresql = &dialect{
	quote: `"`, bounds: true, counts: true,
	create: `CREATE TABLE IF NOT EXISTS {table} (
	resource text NOT NULL PRIMARY KEY,
	lock_name text NOT NULL,
	token bigint NOT NULL,
	owner text NOT NULL,
	claimed timestamptz NOT NULL
)`,
	claim: `INSERT INTO {table} AS f (resource, lock_name, token, owner, claimed)
VALUES ($1, $2, $3, $4, clock_timestamp())` + onConflict + `
{bound}`,
	last:   `SELECT lock_name, token, owner FROM {table} WHERE resource = $1`,
	read:   `SELECT lock_name, token, owner, (extract(epoch FROM claimed) * 1000000)::bigint FROM {table} WHERE resource = $1`,
	forget: `DELETE FROM {table} WHERE claimed < to_timestamp($1::bigint / 1000000.0)`,

	code:     sqlState,
	conflict: []string{"40001", "40P01"},
	missing:  []string{"42P01"},
	readOnly: []string{"25006"},
	race:     []string{"23505", "42P07", "42710"},
}

// A claim that changes nothing is counted as 0 rows or as 1, as the data source
// name says (clientFoundRows), so the row is read again. The assignments come to
// the same whether each sees those before it, or none does.
var mysql = &dialect{
	quote: "`",
	create: `CREATE TABLE IF NOT EXISTS {table} (
	resource varbinary(512) NOT NULL PRIMARY KEY,
	lock_name varbinary(512) NOT NULL,
	token bigint NOT NULL,
	owner varbinary(128) NOT NULL,
	claimed datetime(6) NOT NULL
) ENGINE=InnoDB`,
	claim: `INSERT INTO {table} (resource, lock_name, token, owner, claimed)
VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE
	owner = IF(lock_name = ? AND token < ?, ?, owner),
	claimed = IF(lock_name = ? AND (token < ? OR token = ? AND owner = ?), UTC_TIMESTAMP(6), claimed),
	token = IF(lock_name = ? AND token < ?, ?, token)`,
	args: func(resource, lock string, token int64, owner string) []any {
		return []any{resource, lock, token, owner, lock, token, owner, lock, token, token, owner, lock, token, token}
	},
	last:   `SELECT lock_name, token, owner FROM {table} WHERE resource = ? FOR UPDATE`,
	read:   `SELECT lock_name, token, owner, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', claimed) FROM {table} WHERE resource = ?`,
	forget: `DELETE FROM {table} WHERE claimed < TIMESTAMPADD(MICROSECOND, ?, '1970-01-01')`,

	code:     mysqlNumber,
	conflict: []string{"1213", "1020", "1205"}, // a deadlock; a row that has changed since the snapshot; innodb_lock_wait_timeout
	missing:  []string{"1146"},
	readOnly: []string{"1792"},
}

var sqlite = &dialect{
	quote: `"`, counts: true,
	create: `CREATE TABLE IF NOT EXISTS {table} (
	resource text NOT NULL PRIMARY KEY,
	lock_name text NOT NULL,
	token integer NOT NULL,
	owner text NOT NULL,
	claimed integer NOT NULL -- in microseconds since 1970
) WITHOUT ROWID`,
	claim: `INSERT INTO {table} AS f (resource, lock_name, token, owner, claimed)
VALUES (?, ?, ?, ?, CAST(strftime('%s', 'now') AS integer) * 1000000 + CAST(substr(strftime('%f', 'now'), 4) AS integer) * 1000)` + onConflict,
	last:   `SELECT lock_name, token, owner FROM {table} WHERE resource = ?`,
	read:   `SELECT lock_name, token, owner, claimed FROM {table} WHERE resource = ?`,
	forget: `DELETE FROM {table} WHERE claimed < ?`,
	exists: `SELECT count(*) FROM {schema}sqlite_master WHERE name = ?`,

	code:     sqliteCode,
	conflict: []string{"5", "6"}, // busy, locked
	readOnly: []string{"8"},
}
