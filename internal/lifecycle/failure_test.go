package lifecycle

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// endingContext is a context whose deadline has passed, and which has not noticed yet.
type endingContext struct{ context.Context }

func (endingContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Microsecond), true }

func TestAResendThatTheDeadlineCutsOffSaysNothing(t *testing.T) {
	said := &engine.ClassifiedError{Err: errors.New("BUSY"), Kind: engine.Refused, Grace: engine.Forever}
	if got := latest(endingContext{t.Context()}, said, engine.ErrUnknown); got != said {
		t.Errorf("got %v, want what the server said before", got)
	}
	if got := latest(t.Context(), said, engine.ErrUnknown); got != engine.ErrUnknown {
		t.Errorf("got %v while there is time, want the last word", got)
	}
}
