package fence

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock"
)

// A Claimer is a storage that remembers the last holder at each of its resources.
// [*relock.Guard] is one; a table of package sqlfence has one.
//
// Claim makes s the last holder seen at resource, so that earlier ones are refused
// from then on. It returns [relock.ErrStaleToken] if s itself is an earlier one: of
// a smaller token, or of the same and another owner. It returns
// [relock.ErrInvalid] for what no lock's holder has. In both cases the resource is
// as it was. After any other error the claim may have been made.
type Claimer interface {
	Claim(ctx context.Context, resource string, s relock.Sequencer) error
}

var _ Claimer = (*relock.Guard)(nil)

// MaxAhead is by how much a token may be ahead of the clock. Locks follow their
// server's clock with their tokens; one from the far future was made up, or its
// server's clock was wrong, and would refuse every other holder until then.
const MaxAhead = time.Hour

// Check returns what is wrong with s whatever a storage has seen, as
// [relock.ErrInvalid], or nil: no name, no owner or one that is too long
// ([relock.MaxName], [relock.MaxOwner]), a token that is more than [MaxAhead]
// ahead of this machine's clock, or none. A token of 0, which a lock of several
// has, is [relock.ErrStaleToken] as well.
func Check(s relock.Sequencer) error {
	switch {
	case s.Token <= 0:
		return fmt.Errorf("%w: %w", relock.ErrStaleToken, invalid("a sequencer of token %d: no fencing token", s.Token))
	case int64(s.Token) > time.Now().Add(MaxAhead).UnixMicro():
		return invalid("token %d of %q is more than %v ahead of this machine's clock", s.Token, s.Owner, MaxAhead)
	case s.Name == "" || len(s.Name) > relock.MaxName:
		return invalid("a sequencer of a lock's name of %d bytes: 1 to %d", len(s.Name), relock.MaxName)
	case s.Owner == "" || len(s.Owner) > relock.MaxOwner:
		return invalid("a sequencer of an owner of %d bytes: 1 to %d", len(s.Owner), relock.MaxOwner)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", relock.ErrInvalid, fmt.Sprintf(format, args...))
}

type sequencerKey struct{}

// WithSequencer returns a context that names the holder on whose behalf requests
// are made under it: [Transport] sends it along.
func WithSequencer(ctx context.Context, s relock.Sequencer) context.Context {
	return context.WithValue(ctx, sequencerKey{}, s)
}

// SequencerFrom returns the holder that [WithSequencer], or [Middleware] on its
// way in, has put into ctx, and whether there is one.
func SequencerFrom(ctx context.Context) (relock.Sequencer, bool) {
	s, ok := ctx.Value(sequencerKey{}).(relock.Sequencer)
	return s, ok
}
