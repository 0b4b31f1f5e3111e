package demo

import "fmt"

// claims is what the workers say about their writes, by token.
type claims struct {
	acked   map[int64]int64 // the amount that the storage acknowledged
	unsure  map[int64]bool  // sent, and not answered: it may have happened
	refused map[int64]bool  // as stale
}

func newClaims() claims {
	return claims{acked: map[int64]int64{}, unsure: map[int64]bool{}, refused: map[int64]bool{}}
}

// verdict is what the history says.
type verdict struct {
	rising   bool // every token is greater than the one before
	lost     int  // updates that were acknowledged, or accepted, and have no effect
	problems []string
}

func (v *verdict) problem(format string, args ...any) {
	const enough = 10
	if len(v.problems) < enough {
		v.problems = append(v.problems, fmt.Sprintf(format, args...))
	}
}

// judge compares the account, its history and what the workers were told. It
// trusts none of them: the sums are computed again.
func judge(a account, history []entry, c claims) verdict {
	v := verdict{rising: true}
	var before account
	var token int64
	seen := make(map[int64]bool, len(history))
	for i, e := range history {
		if e.Token <= token {
			v.rising = false
			v.problem("write %d was accepted with token %d after token %d", i+1, e.Token, token)
		}
		if e.Read != before.Sum {
			v.lost++
			v.problem("write %d (token %d) overwrote one that its writer had not read", i+1, e.Token)
		} else if want := before.deposit(e.Token, e.Worker, e.Goroutine, e.Amount); e != want {
			v.problem("write %d (token %d) does not follow from what its writer had read", i+1, e.Token)
		}
		v.account(e, c, seen[e.Token])
		token, before = max(token, e.Token), e.After
		seen[e.Token] = true
	}
	if a != before {
		v.lost++
		v.problem("the account holds %d after %d deposits, its history ends at %d after %d",
			a.Balance, a.Deposits, before.Balance, before.Deposits)
	}
	for t := range c.acked {
		if !seen[t] {
			v.lost++
			v.problem("the write with token %d was acknowledged and is not in the history", t)
		}
	}
	return v
}

// account holds one entry against what its writer was told.
func (v *verdict) account(e entry, c claims, again bool) {
	amount, acked := c.acked[e.Token]
	switch {
	case again:
		v.problem("the write with token %d is in the history twice", e.Token)
	case c.refused[e.Token]:
		v.problem("the write with token %d was refused and is in the history", e.Token)
	case acked && amount != e.Amount:
		v.lost++
		v.problem("the write with token %d deposited %d, its writer was told %d", e.Token, e.Amount, amount)
	case !acked && !c.unsure[e.Token]:
		v.problem("the write with token %d is in the history, and nobody made it", e.Token)
	}
}
