package redisengine

import (
	"context"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

const second = 1_000_000 // us

// vote is an acquire of a node of a quorum.
func (s *scriptTest) vote(a ask, token int64, kind engine.ProposalKind) []any {
	s.Helper()
	return s.mustRun(&voteScript, s.keys, voteArgs(a, token, kind, "")...)
}

func voteArgs(a ask, token int64, kind engine.ProposalKind, id string) []any {
	args := append([]any{token, int(kind), testRetention, id}, a.args()...)
	args[8] = 0 // nothing is minted
	return args
}

// wantVote checks a grant: the token of the hold, the holds of the owner, the
// greatest token accepted (below 0: the clock, which is told negative), and
// whether a quorum is known to have accepted the hold's.
func (s *scriptTest) wantVote(got []any, token, count, accepted int64, issued int) {
	s.Helper()
	var told any = accepted
	if accepted < 0 {
		told = anything{}
		if n, ok := got[4].(int64); !ok || n > 0 || -n > s.clock() {
			s.Errorf("got clock %v, want the server's, below 0", got[4])
		}
	}
	s.want(got, 1, token, count, left(testTTL), told, issued)
}

const noRecord = -1

func TestVoteAcceptsFreshTokens(t *testing.T) {
	a1, b1 := ask{hold: "a1", owner: "a"}, ask{hold: "b1", owner: "b"}
	runScriptCases(t, []scriptCase{
		{"a token ahead of the clock is accepted where nothing is remembered", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.wantVote(s.vote(a1, token, engine.Fresh), token, 1, token, 0)
			s.wantLock("a", token, "a1")
			s.wantFence(token)
			s.wantTTL(s.fence, testRetention+60_000) // it outlives the moment at which the clock has passed it
		}},
		{"a token behind the clock is not, and the clock is told", func(s *scriptTest) {
			s.wantVote(s.vote(a1, s.clock()-second, engine.Fresh), 0, 1, noRecord, 0)
			s.wantLock("a", 0, "a1")
			s.wantGone(s.fence)
		}},
		{"no token is accepted that is not above the greatest accepted", func(s *scriptTest) {
			fence := s.clock() + 60*second
			s.do("set", s.fence, fence)
			s.wantVote(s.vote(a1, fence-1, engine.Fresh), 0, 1, fence, 0)
			s.wantVote(s.vote(a1, fence, engine.Fresh), 0, 1, fence, 0)
			s.wantFence(fence)
			s.wantVote(s.vote(a1, fence+1, engine.Anew), fence+1, 1, fence+1, 0)
			s.wantFence(fence + 1)
		}},
		{"a token that another hold was given is not accepted again", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.vote(a1, token, engine.Fresh)
			s.want(s.release(give{hold: "a1"})[:1], 1)
			s.wantVote(s.vote(b1, token, engine.Fresh), 0, 1, token, 0)
			s.wantVote(s.vote(b1, token+1, engine.Anew), token+1, 1, token+1, 0)
		}},
		{"a repeat of the same proposal is accepted again", func(s *scriptTest) {
			token := s.clock() + 60*second
			for range 2 {
				s.wantVote(s.vote(a1, token, engine.Fresh), token, 1, token, 0)
			}
			s.wantLock("a", token, "a1")
		}},
		{"no token is accepted that is more than an hour ahead of the clock", func(s *scriptTest) {
			s.wantVote(s.vote(a1, s.clock()+hourUS+60*second, engine.Fresh), 0, 1, noRecord, 0)
			s.wantGone(s.fence)
		}},
		{"no token is asked for with 0, and none is minted", func(s *scriptTest) {
			s.wantVote(s.vote(a1, 0, engine.Fresh), 0, 1, noRecord, 0)
			s.wantGone(s.fence)
		}},
		{"a hold has a new token where it is proposed anew", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.vote(a1, token, engine.Fresh)
			s.wantVote(s.vote(a1, token+5, engine.Anew), token+5, 1, token+5, 0)
			s.wantLock("a", token+5, "a1")
			s.wantFence(token + 5)
		}},
		{"who is refused the lock has no token accepted", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.vote(a1, token, engine.Fresh)
			s.want(s.vote(b1, token+1, engine.Fresh), 3, token, "a", left(testTTL), age(0), 0)
			s.wantFence(token)
			s.wantLock("a", token, "a1")
		}},
		{"a fence that is something else is left alone, and nobody has the vote", func(s *scriptTest) {
			refused := func() ([]any, error) {
				return s.run(&voteScript, s.keys, voteArgs(a1, s.clock()+second, engine.Fresh, "")...)
			}
			for _, bad := range []string{"nan", "0x10", "1e300", "-1", "1.5"} {
				s.do("set", s.fence, bad)
				s.wantErr("WRONGTYPE", refused)
			}
			s.do("del", s.fence)
			s.do("rpush", s.fence, "x")
			s.wantErr("WRONGTYPE", refused)
		}},
	})
}

func TestVoteKeepsTheTokenOfAnOwner(t *testing.T) {
	a1, a2 := ask{hold: "a1", owner: "a"}, ask{hold: "a2", owner: "a"}
	runScriptCases(t, []scriptCase{
		{"a further hold is not given a fresh one", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.vote(a1, token, engine.Fresh)
			s.wantVote(s.vote(a2, token+1, engine.Fresh), token, 2, token, 0)
			s.wantLock("a", token, "a1", "a2")
			s.wantFence(token)
		}},
		{"a further hold takes the owner's, which is then known to be issued", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.vote(a1, token, engine.Fresh)
			s.wantVote(s.vote(a2, token, engine.Owned), token, 2, token, 1)
			s.wantVote(s.vote(ask{hold: "a3", owner: "a"}, 0, engine.Fresh), token, 3, token, 1)
		}},
		{"a token anew is not known to be issued", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.vote(a1, token, engine.Owned)
			s.wantVote(s.vote(a2, token+1, engine.Anew), token+1, 2, token+1, 0)
		}},
		{"an owner's token is accepted where nothing above it was", func(s *scriptTest) {
			token := s.clock() + 60*second
			for _, fence := range []int64{token - 1, token} {
				s.do("set", s.fence, fence)
				s.wantVote(s.vote(a1, token, engine.Owned), token, 1, token, 1)
				s.wantFence(token)
				s.release(give{hold: "a1"})
			}
		}},
		{"an owner's token is refused where a greater one was accepted", func(s *scriptTest) {
			token := s.clock() + 60*second
			s.do("set", s.fence, token+1)
			s.wantVote(s.vote(a1, token, engine.Owned), 0, 1, token+1, 0)
			s.wantFence(token + 1)
		}},
		{"an owner's token is accepted without a record if one would still be there", func(s *scriptTest) {
			old := s.clock() - testRetention*1000 - second
			s.wantVote(s.vote(a1, old, engine.Owned), 0, 1, noRecord, 0)
			s.wantGone(s.fence)
			young := old + 120*second
			s.wantVote(s.vote(a1, young, engine.Owned), young, 1, young, 1)
		}},
	})
}

func TestVoteOfANodeThatForgot(t *testing.T) {
	a1 := ask{hold: "a1", owner: "a"}
	runScriptCases(t, []scriptCase{
		{"it refuses without the id it was known by, with nothing changed", func(s *scriptTest) {
			node := nodeKey(s.name)
			for range 2 {
				s.wantErr("FORGOT", func() ([]any, error) {
					return s.run(&voteScript, append(s.keys[:5:5], node), voteArgs(a1, s.clock()+second, engine.Fresh, "id")...)
				})
				s.do("hset", node, "id", "another")
			}
			s.do("hset", node, "id", "id")
			token := s.clock() + 60*second
			got := s.mustRun(&voteScript, append(s.keys[:5:5], node), voteArgs(a1, token, engine.Fresh, "id")...)
			s.wantVote(got, token, 1, token, 0)
		}},
	})
}

func TestEnrol(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"id and membership are those of the first that gave them", func(s *scriptTest) {
			keys := []string{nodeKey(s.name)}
			s.want(s.mustRun(&enrolScript, keys, "x", ""), "x", "")
			s.want(s.mustRun(&enrolScript, keys, "x", "x,z"), "x", "x,z")
			s.want(s.mustRun(&enrolScript, keys, "x", "x,y"), "x", "x,z")
			s.want(s.mustRun(&enrolScript, keys, "y", ""), "x", "x,z")
			s.want([]any{s.do("pttl", keys[0])}, -1)
		}},
		{"a membership is given to no server but the one that was asked before", func(s *scriptTest) {
			keys := []string{nodeKey(s.name)}
			s.want(s.mustRun(&enrolScript, keys, "x", "x,z"), "", "")
			s.want([]any{s.do("exists", keys[0])}, 0)
			s.want(s.mustRun(&enrolScript, keys, "y", ""), "y", "")
			s.want(s.mustRun(&enrolScript, keys, "x", "x,z"), "y", "")
		}},
	})
}

// A node's reply to a fresh vote is the token alone: it says as much as a list would.
func TestNodesReadAFreshVote(t *testing.T) {
	runScriptCases(t, []scriptCase{{"the token is the hold's, and the greatest accepted", func(s *scriptTest) {
		token := s.clock() + 60*second
		n := New(s.rdb, "id", testConfig("t")).AsNode("node")
		r := &engine.Request{Name: s.name, Hold: "a1", Owner: "a", TTL: testTTL * time.Millisecond, Propose: engine.Proposal{Token: token}}
		for range 2 { // a list, the second time
			got, err := n.Acquire(context.Background(), r)
			if err != nil || got.State != engine.Granted || got.Token != token || got.Accepted != token || got.Issued || got.Count != 1 || !s.matches(got.Left.Milliseconds(), left(testTTL)) {
				s.Errorf("got %+v and error %v, want a grant of token %d, accepted", got, err, token)
			}
		}
	}}})
}
