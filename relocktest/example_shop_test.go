package relocktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/relocktest"
)

// The test that the package comment and docs/recipes.md show.

type Shop struct{ locks *relock.Client }

var ErrBusy = errors.New("another is at it")

// Close closes the books, unless another process is at it.
func (s *Shop) Close(ctx context.Context, book func(context.Context) error) error {
	books := s.locks.Mutex("books", relock.WithWait(0))
	err := relock.Do(ctx, books, func(ctx context.Context, _ *relock.Lease) error {
		return book(ctx)
	})
	if errors.Is(err, relock.ErrNotAcquired) {
		return ErrBusy
	}
	return err
}

func TestOnlyOneClosesTheBooks(t *testing.T) {
	srv := relocktest.New(t)
	shop := &Shop{srv.Client()}
	nothing := func(context.Context) error { return nil }

	release := srv.Take("books") // another process has it
	if err := shop.Close(t.Context(), nothing); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	release()
	if err := shop.Close(t.Context(), nothing); err != nil {
		t.Error(err)
	}
}

func TestBookingStopsWhenRedisIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is virtual in here
		srv := relocktest.New(t)
		shop := &Shop{srv.Client()}
		err := shop.Close(t.Context(), func(ctx context.Context) error {
			srv.Down()
			<-ctx.Done() // in 30 seconds, which take milliseconds
			return context.Cause(ctx)
		})
		if !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})
}
