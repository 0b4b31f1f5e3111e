package redlock

import (
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// counts calls f with every way in which n nodes may have answered one way, the
// other, or not yet; the rest has failed.
func counts(n int, f func(yes, no, pending int)) {
	for yes := range n + 1 {
		for no := range n + 1 - yes {
			for pending := range n + 1 - yes - no {
				f(yes, no, pending)
			}
		}
	}
}

// quorums calls f with every number of nodes and every quorum of them.
func quorums(f func(n, need int)) {
	for n := 1; n <= 7; n++ {
		for need := majority(n); need <= n; need++ {
			f(n, need)
		}
	}
}

func TestTwoMajoritiesShareANode(t *testing.T) {
	for n := 1; n <= 9; n++ {
		if m := majority(n); 2*m <= n || 2*(m-1) > n {
			t.Errorf("of %d nodes %d are a majority", n, m)
		}
	}
}

// A verdict is what can no longer change.
func TestAnAttemptIsJudgedAsSoonAsItIsDecided(t *testing.T) {
	quorums(func(n, need int) {
		counts(n, func(granted, refused, pending int) {
			got := poll{n, need, granted, refused, pending}.acquire()
			winnable := granted+pending >= need
			switch {
			case (got == won) != (granted >= need),
				got == taken && winnable && refused <= n-need,
				got == silent && (pending > 0 || granted+refused >= need),
				got == undecided && pending == 0:
				t.Errorf("%d of %d needed: %d granted, %d refused, %d pending: verdict %d", need, n, granted, refused, pending, got)
			}
		})
	})
}

func TestARenewalIsLostOnlyIfAQuorumCannotHaveIt(t *testing.T) {
	quorums(func(n, need int) {
		counts(n, func(granted, absent, pending int) {
			got := poll{n, need, granted, absent, pending}.renewal()
			switch {
			case (got == won) != (granted >= need),
				(got == taken) != (granted < need && absent > n-need),
				(got == undecided) != (granted < need && absent <= n-need && granted+pending >= need):
				t.Errorf("%d of %d needed: %d renewed, %d absent, %d pending: verdict %d", need, n, granted, absent, pending, got)
			}
		})
	})
}

func TestAReleaseIsALossOnlyIfTheQuorumWasGone(t *testing.T) {
	quorums(func(n, need int) {
		counts(n, func(given, gone, pending int) {
			got := poll{n, need, given, gone, pending}.release()
			switch {
			case got == won && given+gone < need,
				(got == taken) != (given < need && gone > n-need),
				got == undecided && pending == 0,
				got == silent && (pending > 0 || given+gone >= need):
				t.Errorf("%d of %d needed: %d given, %d gone, %d pending: verdict %d", need, n, given, gone, pending, got)
			}
		})
	})
}

// A quorum holds until the first of its nodes does not.
func TestAQuorumEndsWithTheFirstOfItsNodes(t *testing.T) {
	now := time.Now()
	var answers []engine.Answer
	for i, seconds := range []int{9, 3, 7, 5, 1} {
		answers = append(answers, engine.Answer{Sent: now.Add(time.Duration(i)), Left: time.Duration(seconds) * time.Second})
	}
	for need, seconds := range map[int]int{3: 5, 4: 3, 5: 1} {
		want := time.Duration(seconds) * time.Second
		if got := quorumEnd(answers, need); got.Left != want {
			t.Errorf("a quorum of %d holds for %v, want %v", need, got.Left, want)
		}
	}
}

// Only the very token of the attempt counts, and an owner's only where the node
// knows that it was issued.
func TestATokenIsAcceptedAsProposed(t *testing.T) {
	for _, tc := range []struct {
		token  int64
		issued bool
		p      engine.Proposal
		want   bool
	}{
		{7, false, engine.Proposal{Token: 7}, true},
		{7, false, engine.Proposal{Token: 7, Kind: engine.Anew}, true},
		{8, false, engine.Proposal{Token: 7}, false},
		{6, true, engine.Proposal{Token: 7}, false},
		{0, false, engine.Proposal{}, false},
		{7, false, engine.Proposal{Token: 7, Kind: engine.Owned}, false},
		{7, true, engine.Proposal{Token: 7, Kind: engine.Owned}, true},
	} {
		if got := accepted(engine.Answer{Token: tc.token, Issued: tc.issued}, tc.p); got != tc.want {
			t.Errorf("the node has token %d, issued %v: %+v accepted: %v", tc.token, tc.issued, tc.p, got)
		}
	}
}

func TestTheNextProposalIsOneThatAllWillTake(t *testing.T) {
	now := time.Now()
	clock := now.UnixMicro()
	refused := engine.Proposal{Token: clock}
	for what, tc := range map[string]struct {
		answers []engine.Answer
		after   engine.Proposal
		want    engine.Proposal
	}{
		"above the greatest that a node has accepted": {
			[]engine.Answer{{Accepted: clock + 5}, {Accepted: clock + 9}, {Accepted: clock}},
			refused,
			engine.Proposal{Token: clock + 10, Kind: engine.Anew},
		},
		"ahead of the clock of a node without a record": {
			[]engine.Answer{{Accepted: clock + 5}, {Accepted: -(clock + 50)}},
			refused,
			engine.Proposal{Token: clock + 51 + tokenLead.Microseconds(), Kind: engine.Anew},
		},
		"the token that the owner has": {
			[]engine.Answer{{Token: 7, Accepted: clock, Count: 2, Issued: true}, {Accepted: clock + 9, Count: 1}},
			refused,
			engine.Proposal{Token: 7, Kind: engine.Owned},
		},
		"another where the owner's was refused": {
			[]engine.Answer{{Token: 7, Accepted: clock, Count: 2, Issued: true}, {Accepted: clock + 9, Count: 1}},
			engine.Proposal{Token: 7, Kind: engine.Owned},
			engine.Proposal{Token: clock + 10, Kind: engine.Anew},
		},
		"a first one after a mere question": {
			[]engine.Answer{{Accepted: clock + 3600*1000*1000}},
			engine.Proposal{},
			engine.Proposal{Token: clock + 3600*1000*1000 + 1},
		},
	} {
		if got := counter(tc.answers, tc.after, now, 0); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", what, got, tc.want)
		}
	}
}

func TestWhatIsFarAheadIsNotFollowed(t *testing.T) {
	now := time.Now()
	clock := now.UnixMicro()
	const hours = 2 * int64(time.Hour/time.Microsecond)
	for _, tc := range []struct {
		name     string
		accepted []int64 // by the nodes that granted; -clock where there is no record
		want     int64   // above which the next proposal is, by a second at most
	}{
		{"agreed clocks", []int64{-clock, clock - 5, clock + 9}, clock},
		{"a counter far ahead", []int64{clock, 1<<53 - 1, -clock}, clock},
		{"two counters of three far ahead", []int64{1<<53 - 1, 1<<53 - 1, clock}, clock},
		{"a clock far ahead", []int64{-clock, -clock - hours, clock}, clock},
		{"a clock far behind", []int64{-clock + hours, -clock, clock}, clock},
		{"our own clock is far behind", []int64{-clock - hours, clock + hours, -clock - hours}, clock + hours},
		{"our own clock is far ahead", []int64{-clock + hours, clock - hours, -clock + hours}, clock - hours},
	} {
		var answers []engine.Answer
		for _, a := range tc.accepted {
			answers = append(answers, engine.Answer{State: engine.Granted, Accepted: a, Count: 1})
		}
		got := counter(answers, engine.Proposal{Token: clock}, now, 1)
		if got.Token <= tc.want || got.Token > tc.want+time.Second.Microseconds() {
			t.Errorf("%s: proposes %d, which is %v off what a quorum would accept", tc.name, got.Token,
				time.Duration(got.Token-tc.want)*time.Microsecond)
		}
	}
}
