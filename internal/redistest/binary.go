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
	// fail instead of skip when there is no server binary.
	EnvRequire = "RELOCK_REQUIRE_REDIS"
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
// RELOCK_REQUIRE_REDIS=1.
func Require(tb testing.TB) {
	tb.Helper()
	_, err := FindServer()
	if err == nil {
		return
	}
	if os.Getenv(EnvRequire) == "1" {
		tb.Fatalf("a real server is required by %s=1: %v", EnvRequire, err)
	}
	tb.Skipf("needs a real server: %v", err)
}
