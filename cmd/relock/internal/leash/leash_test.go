//go:build unix

package leash

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/child"
)

func TestMain(m *testing.M) {
	child.Guard() // the tests run the commands' guardians from their own executable
	os.Exit(m.Run())
}

// fixed is a lease that ends when it is told to.
type fixed struct {
	ctx   context.Context
	until time.Time
}

func (f fixed) Context() context.Context { return f.ctx }
func (f fixed) ValidUntil() time.Time    { return f.until }

func (f fixed) Err() error {
	if !time.Now().Before(f.until) {
		return errors.New("over")
	}
	return f.ctx.Err()
}

// follow runs a shell script under a lease that is taken away once the script
// has written a line, and returns its end.
func follow(t *testing.T, script string, until time.Time, l *Leash) (*child.Child, Loss) {
	t.Helper()
	out, its, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c, err := child.Start(child.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(), Files: [3]*os.File{os.Stdin, its, os.Stderr},
	}, time.Now().Add(time.Hour), time.Second, l.Grace)
	if err != nil {
		t.Fatal(err)
	}
	_ = its.Close()
	defer c.Close()
	ctx, take := context.WithCancel(t.Context())
	defer take()
	if _, err := io.ReadAtLeast(out, make([]byte, 64), 1); err != nil {
		t.Fatal(err)
	}
	take()
	return c, l.Follow(c, fixed{ctx, until})
}

func TestACommandMayEndByItselfWithinTheGrace(t *testing.T) {
	c, loss := follow(t, `trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done`,
		time.Now().Add(time.Hour), &Leash{Grace: 30 * time.Minute})
	if want := (Loss{Lost: true, Taken: true}); loss != want || c.Status() != 7 {
		t.Errorf("got %+v and status %d, want %+v and the command's own, 7", loss, c.Status(), want)
	}
}

func TestACommandThatIgnoresTermIsKilledAfterTheGrace(t *testing.T) {
	c, loss := follow(t, `trap '' TERM; echo ready; while :; do sleep 0.02; done`,
		time.Now().Add(time.Hour), &Leash{Grace: time.Millisecond})
	if want := (Loss{Lost: true, Taken: true, Killed: true}); loss != want || c.Status() != 128+9 {
		t.Errorf("got %+v and status %d, want %+v and 137", loss, c.Status(), want)
	}
}

func TestACommandWhoseLeaseIsOverIsKilledWithoutBeingAsked(t *testing.T) {
	c, loss := follow(t, `trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done`,
		time.Now(), &Leash{Grace: time.Hour})
	if want := (Loss{Lost: true, Killed: true}); loss != want || c.Status() != 128+9 {
		t.Errorf("got %+v and status %d, want %+v and 137", loss, c.Status(), want)
	}
}
