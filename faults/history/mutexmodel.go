package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// step is one operation of the mutex model.
type step struct {
	kind  stepKind
	hold  int // its number within the partition
	owner string
	token int64
	id    string
	kept  bool // a hold that nobody saw may have kept the lock for the owner until now
}

type stepKind int

const (
	stepAcquire stepKind = iota
	stepRelease          // answered: the hold was there
	stepEnd              // the hold goes away: by expiry, or by a release that nobody knows of
)

// mutexState is who holds the lock. Its holds are numbers in order, as text, so
// that states can be compared by ==.
type mutexState struct {
	owner   string // of the holds, or of the last that there were
	current int64
	highest int64
	holds   string
}

// mutexModel is S4: a fenced reentrant mutex. An owner's first hold takes a
// token above all before, its further ones repeat it, and another gets in only
// when all are gone. Each hold that was not released cleanly ends at some time,
// by expiry. A hold that nobody saw, granted to a call that was then stopped,
// killed or given up, keeps the lock for its owner like any other: see [step.kept].
//
// A quorum is freer. An owner may have its last token again when nobody had a
// greater one in between; and a further hold may have a greater one, where too
// few nodes could say that the owner's is still good.
func mutexModel(quorum bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return mutexState{} },
		Step: func(state, input, _ any) (bool, any) {
			s, in := state.(mutexState), input.(step)
			switch in.kind {
			case stepAcquire:
				return s.acquire(in, quorum)
			case stepRelease:
				if in.owner != s.owner {
					return false, s
				}
			case stepEnd:
			}
			return s.has(in.hold), s.without(in.hold)
		},
		DescribeOperation: func(input, _ any) string { return input.(step).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

func (s mutexState) acquire(in step, quorum bool) (bool, any) {
	if s.holds != "" {
		ok := s.owner == in.owner && (s.current == in.token || quorum && in.token > s.highest)
		s.current, s.highest = in.token, max(s.highest, in.token)
		return ok, s.with(in.hold)
	}
	again := (quorum || in.kept) && in.token == s.highest && in.owner == s.owner
	if in.token <= s.highest && !again {
		return false, s
	}
	s.owner, s.current, s.highest = in.owner, in.token, in.token
	return true, s.with(in.hold)
}

func (s mutexState) list() []string {
	if s.holds == "" {
		return nil
	}
	return strings.Split(s.holds, ",")
}

func (s mutexState) has(hold int) bool { return slices.Contains(s.list(), fmt.Sprint(hold)) }

func (s mutexState) with(hold int) mutexState {
	list := append(s.list(), fmt.Sprint(hold))
	slices.Sort(list)
	s.holds = strings.Join(list, ",")
	return s
}

func (s mutexState) without(hold int) mutexState {
	if s.holds != "" {
		list := slices.DeleteFunc(s.list(), func(h string) bool { return h == fmt.Sprint(hold) })
		s.holds = strings.Join(list, ",")
	}
	return s
}

func (in step) String() string {
	verb := [...]string{"acquire", "release", "end"}[in.kind]
	return fmt.Sprintf("%s %s of %s, token %d", verb, in.id, in.owner, in.token)
}

// narrowed returns the holds in the order of their tokens, with the times in
// which they can have been granted narrowed down to what that order leaves: none
// can have been granted before the call of one with a smaller token, or after the
// return of one with a greater. The model never lets tokens fall, so this takes
// no legal order away; it spares Porcupine the search for it. Where it leaves no
// time at all the history is illegal, and is judged as it was recorded.
func narrowed(list []*hold) []*hold {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b *hold) int {
		return cmp.Or(cmp.Compare(a.Token, b.Token), cmp.Compare(a.Call, b.Call))
	})
	for i, o := range sorted {
		one := *o
		sorted[i] = &one
	}
	floor, called := int64(0), int64(0) // of the smaller tokens, and with this one's
	for i, o := range sorted {
		if i > 0 && o.Token > sorted[i-1].Token {
			floor = called
		}
		o.Call = max(o.Call, floor)
		called = max(called, o.Call)
	}
	ceiling, returned := Never, Never
	for i, o := range slices.Backward(sorted) {
		if i < len(sorted)-1 && o.Token < sorted[i+1].Token {
			ceiling = returned
		}
		o.Return = min(o.Return, ceiling)
		returned = min(returned, o.Return)
	}
	if slices.ContainsFunc(sorted, func(o *hold) bool { return o.Call > o.Return }) {
		return list
	}
	return sorted
}

// mutexSteps makes the operations of one lock. An acquire that nobody knows of
// is left out: it could only hold the lock against others, and keep it for its
// owner, which the owner's next acquires are told.
func (h *History) mutexSteps(name string, list []*hold, r *Rules) []porcupine.Operation {
	return h.mutexStepsOf(name, narrowed(list), r)
}

func (h *History) mutexStepsOf(name string, list []*hold, r *Rules) []porcupine.Operation {
	ops := make([]porcupine.Operation, 0, 2*len(list))
	calls := h.callsByOwner(name)
	for i, o := range list {
		in := step{hold: i, owner: o.Owner, token: o.Token, id: o.Hold, kind: stepAcquire, kept: h.kept(o, calls[o.Owner], r)}
		ops = append(ops, porcupine.Operation{ClientId: o.Worker, Input: in, Call: o.Call, Return: o.Return})
		in.kind, in.kept = stepEnd, false
		since, taken := h.lossy(o, o.until)
		switch {
		case taken:
			ops = append(ops, porcupine.Operation{ClientId: o.Worker, Input: in, Call: max(o.Call, since), Return: Never})
		case o.released:
			in.kind = stepRelease
			ops = append(ops, porcupine.Operation{ClientId: o.Worker, Input: in, Call: o.releaseCall, Return: o.releaseReply})
		default:
			ops = append(ops, porcupine.Operation{ClientId: o.Worker, Input: in, Call: o.until, Return: Never})
		}
	}
	return ops
}

// callsByOwner returns the Lock calls for a lock that may have been granted, by
// owner.
func (h *History) callsByOwner(name string) map[string][]*Event {
	calls := map[string][]*Event{}
	for i := range h.Events {
		e := &h.Events[i]
		if e.Op == Lock && e.Result != Fail && e.Lock == name {
			calls[e.Owner] = append(calls[e.Owner], e)
		}
	}
	return calls
}

// kept tells whether there may have been a hold of o's owner, and with o's token,
// when o was granted, that no call has returned: that of a call whose end nobody
// knows, that of one which came too late for its grant and was had anew, with
// a greater token, or that of a worker that was killed in its call.
func (h *History) kept(o *hold, calls []*Event, r *Rules) bool {
	for _, e := range calls {
		unknown := e.Result == Unknown && o.Call < e.Return+int64(r.Linger)
		late := e.Result == OK && e.Token > o.Token && o.Call < e.Return
		if e.Hold != o.Hold && e.Call < o.Return && (unknown || late) {
			return true
		}
	}
	return o.Kind == Shared && slices.ContainsFunc(h.Windows, func(w Window) bool {
		return w.Kind == WorkerKilled && w.Start < o.Return && o.Call < w.End+int64(r.Linger)
	})
}
