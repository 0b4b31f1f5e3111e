package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// storeState is the fenced store of one lock's data.
type storeState struct {
	fence  int64
	holder string
	value  int64
}

// storeModel is S2 as a model. A claim, read or write with (token, owner) passes
// if the token is greater than the fence, or is the fence of the same owner; it
// moves the fence. Only what does not pass is called stale. What nobody knows
// the end of passes if it may, at any later time: at the end of the history it
// changes nothing, which is "never".
func storeModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return storeState{} },
		Step: func(state, input, _ any) (bool, any) {
			s, e := state.(storeState), input.(*Event)
			if e.Op == Read {
				return s.value == e.Value, s
			}
			passes := e.Token > s.fence || e.Token == s.fence && e.Owner == s.holder
			if !passes {
				return e.Result != OK, s
			}
			s.fence, s.holder = e.Token, e.Owner
			if e.Op == Write {
				s.value = e.Value
			}
			return e.Result != Stale, s
		},
		DescribeOperation: func(input, _ any) string {
			e := input.(*Event)
			return fmt.Sprintf("%s %d by %s, token %d: %s", e.Op, e.Value, e.Owner, e.Token, e.Result)
		},
		DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// storeSteps makes the operations by lock. An unanswered write that the store's
// log does not have never took effect.
func (h *History) storeSteps(holds map[string][]*hold) map[string][]porcupine.Operation {
	applied := h.applied()
	steps := map[string][]porcupine.Operation{}
	for i := range h.Events {
		e := &h.Events[i]
		if e.Op != Claim && e.Op != Read && e.Op != Write || e.Result == Fail {
			continue
		}
		end := e.Return
		if e.Result == Unknown {
			end = Never
			if e.Op == Read || e.Op == Write && !applied[writeID{e.Lock, e.Hold, e.Value}] {
				continue
			}
		}
		steps[e.Lock] = append(steps[e.Lock], porcupine.Operation{ClientId: e.Worker, Input: e, Call: e.Call, Return: end})
	}
	// Nobody tells of a killed worker's last claim.
	for name, list := range holds {
		for _, o := range list {
			if o.unlock == nil && !o.claimed && o.Kind != Shared && h.killed(o.Hold) {
				e := o.Event
				e.Op, e.Result = Claim, Unknown
				steps[name] = append(steps[name], porcupine.Operation{Input: &e, Call: o.Return, Return: Never})
			}
		}
	}
	// Nor of its last write, nor when it was sent.
	for _, e := range h.unrecorded() {
		e.Result = Unknown
		steps[e.Lock] = append(steps[e.Lock], porcupine.Operation{Input: e, Return: Never})
	}
	return steps
}
