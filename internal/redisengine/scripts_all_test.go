package redisengine

import (
	"testing"
)

// An allTest drives all.lua on two locks of one slot.
type allTest struct {
	x, y *scriptTest
}

func (a allTest) acquire(x, y ask) ([]any, error) {
	keys := append(append([]string(nil), a.x.keys...), a.y.keys...)
	return a.x.run(&allScript, keys, append(x.args(), y.args()...)...)
}

func (a allTest) want(x, y ask, wantX, wantY []any) {
	a.x.Helper()
	got, err := a.acquire(x, y)
	if err != nil {
		a.x.Fatal(err)
	}
	if len(got) != 2 {
		a.x.Fatalf("got replies %v, want two", got)
	}
	a.x.want(got[0].([]any), wantX...)
	a.x.want(got[1].([]any), wantY...)
}

func TestAcquireAll(t *testing.T) {
	ax, ay := ask{hold: "x1", owner: "a"}, ask{hold: "y1", owner: "a"}
	grant := []any{1, anyToken{}, 1, left(testTTL)}
	none := []any{0}
	var cases []scriptCase
	for _, c := range []struct {
		sentence string
		check    func(a allTest)
	}{
		{"all are granted where all are free, each with a token of its own", func(a allTest) {
			a.want(ax, ay, grant, grant)
			a.x.wantLock("a", a.x.token(), "x1")
			a.y.wantLock("a", a.y.token(), "y1")
			a.x.wantFence(a.x.token())
			a.y.wantFence(a.y.token())
		}},
		{"none is held where the last is taken, and the holder is told", func(a allTest) {
			token := a.y.grant(ask{hold: "b1", owner: "b"})
			a.want(ax, ay, none, []any{3, token, "b", left(testTTL), age(0), 0})
			a.x.wantGone(a.x.lock)
			a.y.wantHolder("b")
		}},
		{"none is held where the first is taken", func(a allTest) {
			token := a.x.grant(ask{hold: "b1", owner: "b"})
			a.want(ax, ay, []any{3, token, "b", left(testTTL), age(0), 0}, none)
			a.y.wantGone(a.y.lock, a.y.fence)
			a.x.wantHolder("b")
		}},
		{"none is held where one was withdrawn", func(a allTest) {
			a.y.release(give{hold: "y1", tombstone: 60_000})
			a.want(ax, ay, none, []any{4})
			a.x.wantGone(a.x.lock)
		}},
		{"none is held where one key is something else", func(a allTest) {
			a.y.do("set", a.y.lock, "x")
			a.x.wantErr("WRONGTYPE", func() ([]any, error) {
				defer a.x.do("del", a.x.fence)
				return a.acquire(ax, ay)
			})
		}},
		{"a further hold is given back as one", func(a allTest) {
			token := a.x.grant(ask{hold: "x0", owner: "a"})
			a.y.grant(ask{hold: "b1", owner: "b"})
			a.want(ax, ay, none, []any{3, anyToken{}, "b", left(testTTL), age(0), 0})
			a.x.wantLock("a", token, "x0")
		}},
		{"the same holds again repeat tokens and counts", func(a allTest) {
			a.want(ax, ay, grant, grant)
			x, y := a.x.token(), a.y.token()
			a.want(ax, ay, []any{1, x, 1, left(testTTL)}, []any{1, y, 1, left(testTTL)})
			a.x.wantLock("a", x, "x1")
			a.y.wantLock("a", y, "y1")
		}},
		{"a late copy does not give back what it did not take", func(a allTest) {
			a.want(ax, ay, grant, grant)
			a.y.force(a.y.token())
			a.y.grant(ask{hold: "b1", owner: "b"})
			a.want(ax, ay, grant, []any{3, anyToken{}, "b", left(testTTL), age(0), 0})
			a.x.wantHolder("a")
		}},
	} {
		cases = append(cases, scriptCase{c.sentence, func(s *scriptTest) {
			c.check(allTest{s, newScriptTest(s.T, s.rdb, s.slack, s.name+"-y")})
		}})
	}
	runScriptCases(t, cases)
}
