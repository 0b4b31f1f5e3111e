package redlock

import (
	"errors"
	"testing"

	"github.com/relock-go/relock/internal/engine"
)

// Too few answers are for good once those that refused for good leave no quorum.
func TestTooFewAnswersPassForAsLongAsAQuorumMay(t *testing.T) {
	refusal := func(grace int) error {
		return &engine.ClassifiedError{Err: errors.New("no"), Kind: engine.Refused, Grace: grace}
	}
	forgot := &engine.ClassifiedError{Err: engine.ErrForgot, Kind: engine.Refused}
	const forever = engine.Forever
	for name, test := range map[string]struct {
		acquired int
		nodes    []error
		want     int
	}{
		"no answers":                      {0, []error{engine.ErrUnknown, engine.ErrUnknown, engine.ErrUnsent}, forever},
		"one refuses for good":            {1, []error{refusal(0), engine.ErrUnknown}, forever},
		"two refuse for good":             {1, []error{refusal(0), refusal(0)}, 0},
		"two refuse, one for a while":     {1, []error{refusal(7), refusal(0)}, 7},
		"three refuse, two for a while":   {0, []error{refusal(7), refusal(0), refusal(9)}, 7},
		"two refuse, one until it passes": {1, []error{refusal(forever), refusal(0)}, forever},
		"nodes that forgot are replaced":  {1, []error{forgot, forgot}, forever},
	} {
		t.Run(name, func(t *testing.T) {
			e := newNoQuorumError(2)
			e.Acquired = test.acquired
			for i, err := range test.nodes {
				e.Nodes[string(rune('a'+i))] = err
			}
			if got := engine.GraceOf(e); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
