package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// tokenState is the greatest token and whose it is.
type tokenState struct {
	token int64
	owner string
}

// tokenModel is S1 as a model: a register that only rises. It needs no release
// and no expiry.
func tokenModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return tokenState{} },
		Step: func(state, input, _ any) (bool, any) {
			s, in := state.(tokenState), input.(step)
			if in.token > s.token {
				return true, tokenState{in.token, in.owner}
			}
			return in.token == s.token && in.owner == s.owner && in.token > 0, s
		},
		DescribeOperation: func(input, _ any) string { return input.(step).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

func tokenSteps(list []*hold) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(list))
	for i, o := range list {
		in := step{kind: stepAcquire, hold: i, owner: o.Owner, token: o.Token, id: o.Hold}
		ops[i] = porcupine.Operation{ClientId: o.Worker, Input: in, Call: o.Call, Return: o.Return}
	}
	return ops
}
