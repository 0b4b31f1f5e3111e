package chaos

import (
	"testing"

	"github.com/relock-go/relock/faults/rig"
)

func drawn(seed uint64, list []*fault, n int) (turnsDrawn []turn) {
	for t := range turns(seed, list) {
		if turnsDrawn = append(turnsDrawn, t); len(turnsDrawn) == n {
			break
		}
	}
	return turnsDrawn
}

func TestASeedIsASchedule(t *testing.T) {
	list := menu(rig.Cluster, nil)
	first, again, other := drawn(7, list, 200), drawn(7, list, 200), drawn(8, list, 200)
	same := 0
	for i := range first {
		if first[i] != again[i] {
			t.Fatalf("turn %d of one seed is %v, and then %v", i, first[i], again[i])
		}
		if first[i].fault == other[i].fault {
			same++
		}
	}
	if same == len(first) {
		t.Error("two seeds are one schedule")
	}
}

func TestEveryFaultOfATopologyComesOnceBeforeOneComesAgain(t *testing.T) {
	for _, topology := range rig.All {
		list := menu(topology, nil)
		seen := map[string]int{}
		for _, one := range drawn(1, list, len(list)) {
			seen[one.fault.kind]++
		}
		if len(seen) != len(list) || len(list) < 20 {
			t.Errorf("%s: %d kinds in the first %d turns: %v", topology, len(seen), len(list), seen)
		}
	}
}
