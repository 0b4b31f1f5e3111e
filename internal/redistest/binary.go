package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

const (
	// EnvServer names the environment variable with the server binary's path.
	EnvServer = "RELOCK_SERVER"
	// EnvRequire names the environment variable that, set to 1, makes tests
	// fail instead of skip when there is no server binary, of Redis or another.
	EnvRequire = "RELOCK_REQUIRE_SERVERS"
	// EnvRequireRedis is the same under its older name.
	EnvRequireRedis = "RELOCK_REQUIRE_REDIS"
)

// FindServer returns the server binary that [Start] uses without
// [WithBinary], or an error that says where it was looked for.
func FindServer() (string, error) {
	if named := os.Getenv(EnvServer); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("redistest: %s: %w", EnvServer, err)
		}
		return path, nil
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("redistest: no redis-server or valkey-server on the PATH, and %s is not set", EnvServer)
}

// Require skips the test if no server binary is found, or fails it if
// servers are required ([EnvRequire]).
func Require(tb testing.TB) {
	tb.Helper()
	_, err := FindServer()
	if err != nil {
		Missing(tb, "needs a real server: %v", err)
	}
}

// Missing skips the test for what is missing here, or fails it if servers are
// required ([EnvRequire]).
func Missing(tb testing.TB, format string, args ...any) {
	tb.Helper()
	for _, env := range []string{EnvRequire, EnvRequireRedis} {
		if os.Getenv(env) == "1" {
			tb.Fatalf("required by "+env+"=1: "+format, args...)
		}
	}
	tb.Skipf(format, args...)
}

// Slow skips the test under -short, saying why it takes long, or fails it if
// servers are required ([EnvRequire]).
func Slow(tb testing.TB, why string) {
	tb.Helper()
	if testing.Short() {
		Missing(tb, "takes seconds: %s", why)
	}
}
