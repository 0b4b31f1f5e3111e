package history

import (
	"cmp"
	"slices"
)

// checkTokens is S1: a register that only rises. There is but one order in
// which the grants of a lock can have happened, that of their tokens, so the
// register is linearizable if and only if no grant returned before another with
// a smaller token was called. An owner's further holds repeat its token.
func (h *History) checkTokens(v *Verdict, issued map[string][]*hold) {
	for name, list := range issued {
		v.Checked["S1"] += len(list)
		ownersOfTokens(v, name, list)
		tokensRise(v, name, list)
	}
}

func ownersOfTokens(v *Verdict, name string, list []*hold) {
	owner := map[int64]*hold{}
	for _, o := range list {
		first, seen := owner[o.Token]
		if !seen {
			owner[o.Token] = o
			continue
		}
		if first.Owner != o.Owner {
			v.Add("S1", name, o.Return, "token %d was given to %q and to %q", o.Token, first.Owner, o.Owner)
		}
	}
}

// renewedTokens counts the holds that were had with a greater token while their
// owner believed in another.
func renewedTokens(list []*hold) (n int) {
	last := map[string]*hold{}
	for _, o := range list {
		before := last[o.Owner]
		if before != nil && before.Token < o.Token && before.until > o.Return {
			n++
		}
		if before == nil || o.until >= before.until {
			last[o.Owner] = o
		}
	}
	return n
}

// tokensRise sweeps over the calls in order, with the greatest token that had
// returned before each. list is in the order of the returns.
func tokensRise(v *Verdict, name string, list []*hold) {
	calls := slices.Clone(list)
	slices.SortFunc(calls, func(a, b *hold) int { return cmp.Compare(a.Call, b.Call) })
	var greatest *hold
	next := 0
	for _, o := range calls {
		for ; next < len(list) && list[next].Return < o.Call; next++ {
			if greatest == nil || list[next].Token > greatest.Token {
				greatest = list[next]
			}
		}
		if o.Token <= 0 {
			v.Add("S1", name, o.Return, "a token of %d", o.Token)
		}
		if greatest == nil || o.Token > greatest.Token || o.Token == greatest.Token && o.Owner == greatest.Owner {
			continue
		}
		v.Add("S1", name, o.Return, "hold %s of %q has token %d, and %d of %q had been returned before its call",
			o.Hold, o.Owner, o.Token, greatest.Token, greatest.Owner)
	}
}
