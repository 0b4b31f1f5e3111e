package history

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// MaxPartition is how many operations of one lock are given to Porcupine.
const MaxPartition = 50_000

// Rules are what a history is judged by.
type Rules struct {
	// Contended are the locks that are wanted all the time.
	Contended []string
	// Quorum tells that the locks are a quorum's.
	Quorum bool
	// HealBound and LossSlack bound L1 and L3, scheduling slack included.
	HealBound, LossSlack time.Duration
	// Linger is how long a hold lasts at most that was granted to a call which had
	// ended, or to nobody.
	Linger time.Duration
	// Timeout bounds Porcupine's work on one partition.
	Timeout time.Duration
	// Pictures is the folder for Porcupine's pictures of what it refused.
	Pictures string
}

// Check judges a history.
func (h *History) Check(r Rules) *Verdict {
	v := newVerdict()
	v.Operations = len(h.Events)
	byLock := h.holds()
	issued := h.issued(byLock, &r)
	h.checkTokens(v, issued)
	h.checkStore(v)
	h.checkBelief(v, byLock)
	h.checkAgain(v)
	h.checkLoss(v, r.LossSlack)
	h.checkHeal(v, byLock, r.Contended, r.HealBound)
	for _, name := range slices.Sorted(maps.Keys(byLock)) {
		v.Anew += renewedTokens(byLock[name])
		r.linearizable(v, "S4", name, mutexModel(r.Quorum), h.mutexSteps(name, issued[name], &r))
		r.linearizable(v, "S1 by Porcupine", name, tokenModel(), tokenSteps(issued[name]))
	}
	store := h.storeSteps(byLock)
	for _, name := range slices.Sorted(maps.Keys(store)) {
		r.linearizable(v, "S2 by Porcupine", name, storeModel(), store[name])
	}
	return v
}

// linearizable has Porcupine judge one partition.
func (r *Rules) linearizable(v *Verdict, check, name string, m porcupine.Model, ops []porcupine.Operation) {
	if len(ops) > MaxPartition {
		v.Unknown++
		return
	}
	sortByCall(ops)
	switch porcupine.CheckOperationsTimeout(m, ops, r.Timeout) {
	case porcupine.Ok:
		v.Checked[check] += len(ops)
	case porcupine.Unknown:
		v.Unknown++
	case porcupine.Illegal:
		v.Checked[check] += len(ops)
		v.Add(check, name, 0, "the history is not linearizable: %s", r.picture(check, name, m, ops))
	}
}

// sortByCall numbers the clients anew: Porcupine draws a row for each, and one
// worker has several calls at a time.
func sortByCall(ops []porcupine.Operation) {
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var free []int64 // by row: until when it is taken
	for i := range ops {
		row := slices.IndexFunc(free, func(until int64) bool { return until < ops[i].Call })
		if row < 0 || ops[i].Return == Never {
			row = len(free)
			free = append(free, 0)
		}
		free[row] = ops[i].Return
		ops[i].ClientId = row
	}
}

// picture draws what was refused and returns where it is.
func (r *Rules) picture(check, name string, m porcupine.Model, ops []porcupine.Operation) string {
	if r.Pictures == "" {
		return "no picture was asked for"
	}
	_, info := porcupine.CheckOperationsVerbose(m, ops, r.Timeout)
	safe := strings.Map(func(c rune) rune {
		if strings.ContainsRune(` /{}:`, c) {
			return '-'
		}
		return c
	}, check+"-"+name)
	path := filepath.Join(r.Pictures, safe+".html")
	f, err := os.Create(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if err := porcupine.Visualize(m, info, f); err != nil {
		return err.Error()
	}
	return path
}
