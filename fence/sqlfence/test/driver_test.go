package test

import (
	"context"
	"database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5"
)

// connector is a driver that is wrapped in another, as tracers do it.
type connector struct{ driver.Connector }

type wrapping struct{}

func (wrapping) Open(string) (driver.Conn, error) { return nil, driver.ErrBadConn }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) { return c.Connector.Connect(ctx) }
func (connector) Driver() driver.Driver                              { return wrapping{} }

func configOf(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
