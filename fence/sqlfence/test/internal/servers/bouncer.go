package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/relock-go/relock/internal/redistest"
)

const bouncerPort = 6432 // in the name of its socket only

// Bouncer starts a PgBouncer that pools by transactions, in front of the database
// that dsn names, for as long as the test runs, and returns a data source name of
// it. Where there is none it skips the test, or fails it where servers are required.
func Bouncer(tb testing.TB, dsn string) string {
	tb.Helper()
	binary, err := newest("/usr/sbin/")("pgbouncer")
	if err != nil {
		redistest.Missing(tb, "needs PgBouncer: %v", err)
	}
	user, err := unprivileged(PostgreSQL.user)
	if err != nil {
		redistest.Missing(tb, "needs PgBouncer: %v", err)
	}
	dir, err := os.MkdirTemp("", "relock-pgbouncer-") //nolint:usetesting // TempDir's parent is closed to other users
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	database := dsn[strings.LastIndex(dsn, "=")+1:]
	config := fmt.Sprintf("[databases]\n%s = host=%s dbname=%s user=postgres\n[pgbouncer]\nunix_socket_dir = %s\nlisten_addr =\nlisten_port = %d\n"+
		"auth_type = any\npool_mode = transaction\nmax_client_conn = 200\ndefault_pool_size = 4\n", database, PostgreSQL.dir, database, dir, bouncerPort)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		tb.Fatal(err)
	}
	if err := user.own(dir); err != nil {
		tb.Fatal(err)
	}
	s := &Server{name: "pgbouncer", driver: "pgx", dir: dir, dsn: func(dir, _ string) string {
		return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s default_query_exec_mode=exec", dir, bouncerPort, database)
	}}
	if s.process, err = launchLogged(user, dir, []string{binary, file}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	if err := s.await(); err != nil {
		tb.Fatal(err)
	}
	return s.dsn(dir, "")
}
