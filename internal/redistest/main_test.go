package redistest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(envParent) != "" {
		beParent()
	}
	goleak.VerifyTestMain(m)
}

// envParent makes the test binary a process that starts a server and is
// killed.
const envParent = "REDISTEST_PARENT"

// beParent prints a server's address and waits to be killed.
func beParent() {
	s, err := Start(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Addr())
	select {}
}

// within bounds a test's waiting; it is no expectation of speed.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// value returns v, or fails the test.
func value[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}
