package history

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The sweep for S1 and Porcupine's register are two ways to say one thing.
func TestTheSweepOfTokensAgreesWithPorcupine(t *testing.T) {
	good, bad := 0, 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		h := &History{}
		for i := range int64(2 + rng.IntN(8)) {
			call := rng.Int64N(100)
			owner := string(rune('x' + rng.IntN(2)))
			e := granted(time.Duration(i).String(), owner, 1+rng.Int64N(6), call, call+rng.Int64N(60))
			h.Events = append(h.Events, e)
		}
		byLock := h.holds()
		swept, judged := newVerdict(), newVerdict()
		h.checkTokens(swept, byLock)
		(&Rules{Timeout: time.Minute}).linearizable(judged, "S1", "a", tokenModel(), tokenSteps(byLock["a"]))
		if (len(swept.Violations) > 0) != (len(judged.Violations) > 0) {
			t.Fatalf("seed %d: the sweep says %v, Porcupine %v", seed, swept.Violations, judged.Violations)
		}
		if len(judged.Violations) > 0 {
			bad++
		} else {
			good++
		}
	}
	if good < 100 || bad < 100 {
		t.Errorf("%d good histories and %d bad ones: too few to tell", good, bad)
	}
}

// Narrowing takes no legal order away and adds none.
func TestNarrowedTimesAreJudgedAsTheRecordedOnes(t *testing.T) {
	good, bad := 0, 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := &History{}
		for i := range int64(2 + rng.IntN(5)) {
			call := rng.Int64N(100)
			done := call + 1 + rng.Int64N(40)
			owner, hold := string(rune('x'+rng.IntN(2))), time.Duration(i).String()
			h.Events = append(h.Events, granted(hold, owner, 1+done/20, call, done), unlocked(hold, done+1, done+2+rng.Int64N(30)))
		}
		list, r := h.holds()["a"], &Rules{Timeout: time.Minute}
		var found [2]int
		for i, ops := range [][]porcupine.Operation{h.mutexSteps("a", list, r), h.mutexStepsOf("a", list, r)} {
			v := newVerdict()
			r.linearizable(v, "S4", "a", mutexModel(false), ops)
			found[i] = len(v.Violations)
		}
		if found[0] != found[1] {
			t.Fatalf("seed %d: %d violations with narrowed times, %d with the recorded ones", seed, found[0], found[1])
		}
		if found[0] > 0 {
			bad++
		} else {
			good++
		}
	}
	if good < 100 || bad < 100 {
		t.Errorf("%d good histories and %d bad ones: too few to tell", good, bad)
	}
}
