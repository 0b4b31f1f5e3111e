package history

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Known bad histories, by hand, with the good ones beside which they differ: a
// check that cannot fail proves nothing.

// granted is a Lock call that was granted with a deadline far away.
func granted(hold, owner string, token, call, done int64) Event {
	return Event{Op: Lock, Lock: "a", Hold: hold, Owner: owner, Token: token, Call: call, Return: done, Result: OK, Valid: 1_000_000}
}

func unlocked(hold string, call, done int64) Event {
	return Event{Op: Unlock, Lock: "a", Hold: hold, Call: call, Return: done, Result: OK, Valid: 1_000_000}
}

func lostUnlock(hold string, call, done, valid int64) Event {
	return Event{Op: Unlock, Lock: "a", Hold: hold, Call: call, Return: done, Result: Lost, Valid: valid}
}

func stored(op Op, result Result, hold, owner string, token, value, call, done int64) Event {
	return Event{Op: op, Lock: "a", Hold: hold, Owner: owner, Token: token, Value: value, Call: call, Return: done, Result: result}
}

// two are clean holds of two owners, one after the other.
func two() []Event {
	return []Event{granted("1", "x", 5, 0, 10), unlocked("1", 20, 30), granted("2", "y", 6, 15, 35), unlocked("2", 40, 50)}
}

// again are two holds of one owner with one token, and none between them.
func again() []Event {
	return []Event{granted("1", "x", 5, 0, 10), unlocked("1", 20, 30), granted("2", "x", 5, 40, 41), unlocked("2", 50, 51)}
}

// untold is a write that was refused, and nobody tells why.
func untold() []Event {
	return []Event{
		{Op: Lock, Lock: "a", Hold: "w1-1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 50},
		stored(Claim, OK, "w1-1", "x", 5, 0, 11, 12),
		{Op: Lock, Lock: "a", Hold: "w2-1", Owner: "y", Token: 6, Call: 40, Return: 60, Result: OK, Valid: 61},
		stored(Write, Stale, "w1-1", "x", 5, 1, 70, 71), lostUnlock("w1-1", 72, 73, 50),
	}
}

// repeated are two holds of one owner with one token, and another's between.
func repeated() []Event {
	return []Event{
		granted("1", "x", 5, 0, 10), unlocked("1", 20, 30), granted("2", "y", 6, 31, 32), unlocked("2", 33, 34),
		granted("3", "x", 5, 40, 50), unlocked("3", 51, 52),
	}
}

// unseen is a Lock call of its own hold.
func unseen(e Event) Event {
	e.Op, e.Lock, e.Hold = Lock, "a", "3"
	return e
}

// shared makes the owners those of several workers.
func shared(events []Event) []Event {
	for i := range events {
		events[i].Kind = Shared
	}
	return events
}

var cases = []struct {
	name   string
	events []Event
	window []Window
	log    []Entry
	quorum bool
	want   []string // the checks that must find something; none: the history is fine
}{
	{name: "two holders in turn", events: two()},
	{
		name: "S1: a token is smaller than one returned before the call",
		events: []Event{
			granted("1", "x", 6, 0, 10), unlocked("1", 20, 30),
			granted("2", "y", 5, 31, 35), unlocked("2", 40, 50),
		},
		want: []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name: "S1: one token for two owners",
		events: []Event{
			granted("1", "x", 5, 0, 10), unlocked("1", 20, 30),
			granted("2", "y", 5, 0, 35), unlocked("2", 40, 50),
		},
		want: []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name: "two calls at one time may be granted in either order",
		events: []Event{
			granted("1", "x", 6, 0, 31), unlocked("1", 32, 40),
			granted("2", "y", 5, 0, 10), unlocked("2", 12, 20),
		},
	},
	{
		name:   "a re-entry repeats the token",
		events: []Event{granted("1", "x", 5, 0, 10), granted("2", "x", 5, 11, 12), unlocked("1", 20, 30), unlocked("2", 31, 40)},
	},
	{
		name:   "S4: a re-entry takes another token",
		events: []Event{granted("1", "x", 5, 0, 10), granted("2", "x", 6, 11, 12), unlocked("1", 20, 30), unlocked("2", 31, 40)},
		want:   []string{"S4"},
	},
	{
		name:   "S4: an owner has its last token again",
		events: again(),
		want:   []string{"S4"},
	},
	{
		name:   "an owner has its last token again: a call that was given up may have kept the lock",
		events: append(again(), unseen(Event{Owner: "x", Call: 12, Return: 19, Result: Unknown})),
	},
	{
		name:   "S4: a call that was given up by another owner keeps nothing",
		events: append(again(), unseen(Event{Owner: "y", Call: 12, Return: 19, Result: Unknown})),
		want:   []string{"S4"},
	},
	{
		name:   "S4: a call that had no effect keeps nothing",
		events: append(again(), unseen(Event{Owner: "x", Call: 12, Return: 19, Result: Fail})),
		want:   []string{"S4"},
	},
	{
		name:   "S4: a call that came later has kept nothing",
		events: append(again(), unseen(Event{Owner: "x", Call: 42, Return: 49, Result: Unknown})),
		want:   []string{"S4"},
	},
	{
		name: "an owner has its last token again: a call that came too late for its grant had kept the lock",
		events: append(again(),
			unseen(Event{Owner: "x", Token: 6, Call: 12, Return: 60, Result: OK, Valid: 1_000_000}), unlocked("3", 61, 62)),
	},
	{
		name: "S4: a call that had returned its own grant before has kept nothing",
		events: append(again(),
			unseen(Event{Owner: "x", Token: 4, Call: -9, Return: -8, Result: OK, Valid: 1_000_000}), unlocked("3", -7, -6)),
		want: []string{"S4"},
	},
	{
		name: "S4: a call that returned an earlier grant too late has kept nothing",
		events: append(again(),
			unseen(Event{Owner: "x", Token: 4, Call: -9, Return: 45, Result: OK, Valid: -5}), lostUnlock("3", 46, 47, -5)),
		want: []string{"S4"},
	},
	{
		name:   "an owner of several workers has its last token again: one that was killed may have had a hold",
		events: shared(again()),
		window: []Window{{Kind: WorkerKilled, Worker: 9, Start: 25, End: 26}},
	},
	{
		name:   "S4: a worker that was killed keeps nothing for an owner it did not have",
		events: again(),
		window: []Window{{Kind: WorkerKilled, Worker: 9, Start: 25, End: 26}},
		want:   []string{"S4"},
	},
	{
		name: "S4: a call that was given up long ago keeps nothing",
		events: []Event{
			granted("1", "x", 5, 0, 10), unlocked("1", 20, 30), granted("2", "x", 5, 640, 641), unlocked("2", 650, 651),
			unseen(Event{Owner: "x", Call: 12, Return: 19, Result: Unknown}),
		},
		want: []string{"S4"},
	},
	{
		name:   "S4: a worker that was killed long ago keeps nothing",
		events: shared([]Event{granted("1", "x", 5, 0, 10), unlocked("1", 20, 30), granted("2", "x", 5, 640, 641), unlocked("2", 650, 651)}),
		window: []Window{{Kind: WorkerKilled, Worker: 9, Start: 25, End: 26}},
		want:   []string{"S4"},
	},
	{
		name:   "S4: a worker that was killed later has kept nothing",
		events: shared(again()),
		window: []Window{{Kind: WorkerKilled, Worker: 9, Start: 45, End: 46}},
		want:   []string{"S4"},
	},
	{
		name: "S4: nobody keeps a lock that another has had since",
		events: []Event{
			granted("1", "x", 5, 0, 10), unlocked("1", 20, 30), granted("4", "y", 6, 31, 32), unlocked("4", 33, 34),
			granted("2", "x", 5, 35, 41), unlocked("2", 50, 51),
			unseen(Event{Owner: "x", Call: 12, Return: 19, Result: Unknown}),
		},
		want: []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name:   "on a quorum a re-entry may take a greater token",
		events: []Event{granted("1", "x", 5, 0, 10), granted("2", "x", 6, 11, 12), unlocked("1", 20, 30), unlocked("2", 31, 40)},
		quorum: true,
	},
	{
		name:   "S4: on a quorum a re-entry takes a smaller token",
		events: []Event{granted("1", "x", 5, 0, 12), granted("2", "x", 4, 0, 10), unlocked("1", 20, 30), unlocked("2", 31, 40), granted("3", "y", 6, 50, 51), granted("4", "x", 6, 11, 60)},
		quorum: true,
		want:   []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name: "S4: the inner release frees the lock",
		events: []Event{
			granted("1", "x", 5, 0, 10), granted("2", "x", 5, 11, 12), unlocked("2", 13, 14),
			granted("3", "y", 6, 15, 16), unlocked("3", 17, 18), unlocked("1", 19, 20),
		},
		want: []string{"S3", "S4"},
	},
	{
		name: "S3: two owners believe at one time",
		events: []Event{
			granted("1", "x", 5, 0, 10), granted("2", "y", 6, 15, 20),
			unlocked("1", 30, 31), unlocked("2", 40, 50),
		},
		want: []string{"S3", "S4"},
	},
	{
		name: "S3: the second of three owners ends last but one",
		events: []Event{
			granted("1", "x", 5, 0, 10), lostUnlock("1", 99, 100, 90),
			granted("2", "x", 5, 11, 12), unlocked("2", 13, 14),
			granted("3", "y", 6, 15, 91), unlocked("3", 92, 93),
			granted("4", "z", 7, 88, 89), lostUnlock("4", 89, 90, 89),
		},
		want: []string{"S3", "S4"},
	},
	{
		name: "a breach inside a fault that loses locks is counted and no violation",
		events: []Event{
			granted("1", "x", 5, 0, 10), granted("2", "y", 6, 15, 20),
			lostUnlock("1", 30, 31, 1000), unlocked("2", 40, 50),
		},
		window: []Window{{Kind: "FLUSHALL", Lossy: true, Start: 12, End: 13}},
	},
	{
		name: "a fault about another lock is no excuse",
		events: []Event{
			granted("1", "x", 5, 0, 10), granted("2", "y", 6, 15, 20),
			lostUnlock("1", 30, 31, 1000), unlocked("2", 40, 50),
		},
		window: []Window{{Kind: "key deleted", Lossy: true, Lock: "b", Start: 12, End: 13}},
		want:   []string{"S3", "S4"},
	},
	{
		name: "an expired holder has not believed past its deadline",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 50},
			lostUnlock("1", 99, 100, 50), granted("2", "y", 6, 20, 60), unlocked("2", 70, 80),
		},
	},
	{
		name:   "S5: a second Unlock succeeds",
		events: append(two(), Event{Op: Again, Lock: "a", Hold: "1", Call: 36, Return: 37, Result: OK}),
		want:   []string{"S5"},
	},
	{
		name:   "a second Unlock is told so",
		events: append(two(), Event{Op: Again, Lock: "a", Hold: "1", Call: 36, Return: 37, Result: Fail}),
	},
	{
		name: "S2: an update is lost",
		events: append(two(),
			stored(Read, OK, "1", "x", 5, 0, 11, 12), stored(Read, OK, "2", "y", 6, 0, 36, 37),
			stored(Write, OK, "1", "x", 5, 1, 13, 14), stored(Write, OK, "2", "y", 6, 1, 38, 39)),
		log:  []Entry{{1, 5, "x", "1"}, {1, 6, "y", "2"}},
		want: []string{"S2", "S2 by Porcupine"},
	},
	{
		name: "S2: an overtaken holder's write is applied",
		events: append(two(),
			stored(Claim, OK, "1", "x", 5, 0, 11, 12), stored(Claim, OK, "2", "y", 6, 0, 36, 37),
			stored(Write, OK, "1", "x", 5, 1, 38, 39)),
		log:  []Entry{{1, 5, "x", "1"}},
		want: []string{"S2 by Porcupine"},
	},
	{
		name: "S2: tokens fall in the store",
		events: append(two(),
			stored(Write, OK, "2", "y", 6, 1, 36, 37), stored(Write, OK, "1", "x", 5, 2, 38, 39)),
		log:  []Entry{{1, 6, "y", "2"}, {2, 5, "x", "1"}},
		want: []string{"S2", "S2 by Porcupine"},
	},
	{
		name:   "S2: an acknowledged write is missing",
		events: append(two(), stored(Write, OK, "1", "x", 5, 1, 11, 12)),
		want:   []string{"S2"},
	},
	{
		name:   "S2: a refused write is applied",
		events: append(two(), stored(Write, Stale, "1", "x", 5, 1, 11, 12)),
		log:    []Entry{{1, 5, "x", "1"}},
		want:   []string{"S2", "S2 by Porcupine"},
	},
	{
		name:   "S2: the latest holder is refused",
		events: append(two(), stored(Claim, OK, "1", "x", 5, 0, 11, 12), stored(Claim, Stale, "2", "y", 6, 0, 36, 37)),
		want:   []string{"S2 by Porcupine"},
	},
	{
		name: "an unanswered write may be applied later, and an unanswered claim may be why another is refused",
		events: append(two(),
			stored(Claim, Unknown, "2", "y", 6, 0, 16, 17), stored(Claim, Stale, "1", "x", 5, 0, 18, 19),
			stored(Write, Unknown, "2", "y", 6, 1, 20, 21), stored(Read, OK, "2", "y", 6, 0, 22, 23)),
		log: []Entry{{1, 6, "y", "2"}},
	},
	{
		name: "L3: lost before the deadline without a fault",
		events: []Event{
			granted("1", "x", 5, 0, 10),
			{Op: Ended, Lock: "a", Hold: "1", Call: 20, Return: 20, Valid: 500},
			lostUnlock("1", 30, 31, 500),
		},
		want: []string{"L3"},
	},
	{
		name: "L3: lost long after the deadline",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 20},
			{Op: Ended, Lock: "a", Hold: "1", Call: 1020, Return: 1020, Valid: 20},
			lostUnlock("1", 1030, 1031, 20),
		},
		want: []string{"L3"},
	},
	{
		name: "a worker that was stopped learns of its loss when it wakes",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 20, Worker: 1},
			{Op: Ended, Lock: "a", Hold: "1", Call: 1020, Return: 1020, Valid: 20, Worker: 1},
			lostUnlock("1", 1030, 1031, 20),
		},
		window: []Window{{Kind: "stopped", Worker: 1, Start: 15, End: 1010}},
	},
	{
		name: "counted: a MultiLock goes with the member that was taken away before the other was had",
		events: []Event{
			{Op: Lock, Lock: "b", Hold: "1", Kind: Multi, Owner: "w", Token: 4, Call: 0, Return: 50, Result: OK, Valid: 200},
			{Op: Lock, Lock: "a", Hold: "1", Kind: Multi, Owner: "x", Token: 5, Call: 0, Return: 50, Result: OK, Valid: 250},
			granted("2", "y", 6, 60, 70), unlocked("2", 71, 72),
			{Op: Unlock, Lock: "b", Hold: "1", Kind: Multi, Owner: "w", Token: 4, Call: 150, Return: 151, Result: Lost, Valid: 200},
			{Op: Unlock, Lock: "a", Hold: "1", Kind: Multi, Owner: "x", Token: 5, Call: 150, Return: 151, Result: Lost, Valid: 250},
		},
		window: []Window{{Kind: "lock's key deleted", Lock: "b", Start: 10, End: 11, Lossy: true}},
	},
	{
		name: "a MultiLock ends with the first deadline of its members",
		events: []Event{
			{Op: Lock, Lock: "b", Hold: "1", Kind: Multi, Owner: "w", Token: 4, Call: 0, Return: 50, Result: OK, Valid: 65},
			{Op: Lock, Lock: "a", Hold: "1", Kind: Multi, Owner: "x", Token: 5, Call: 0, Return: 50, Result: OK, Valid: 250},
			granted("2", "y", 6, 60, 70), unlocked("2", 71, 72),
			{Op: Unlock, Lock: "b", Hold: "1", Kind: Multi, Owner: "w", Token: 4, Call: 150, Return: 151, Result: Lost, Valid: 65},
			{Op: Unlock, Lock: "a", Hold: "1", Kind: Multi, Owner: "x", Token: 5, Call: 150, Return: 151, Result: Lost, Valid: 250},
		},
	},
	{
		name: "S3, S4: a MultiLock that is held still",
		events: []Event{
			{Op: Lock, Lock: "b", Hold: "1", Kind: Multi, Owner: "w", Token: 4, Call: 0, Return: 50, Result: OK, Valid: 200},
			{Op: Lock, Lock: "a", Hold: "1", Kind: Multi, Owner: "x", Token: 5, Call: 0, Return: 50, Result: OK, Valid: 250},
			granted("2", "y", 6, 60, 70), unlocked("2", 71, 72),
			{Op: Unlock, Lock: "b", Hold: "1", Kind: Multi, Owner: "w", Token: 4, Call: 150, Return: 151, Result: Lost, Valid: 200},
			{Op: Unlock, Lock: "a", Hold: "1", Kind: Multi, Owner: "x", Token: 5, Call: 150, Return: 151, Result: Lost, Valid: 250},
		},
		want: []string{"S3", "S4"},
	},
	{
		name: "a killed worker has written and could not tell",
		events: []Event{
			granted("w1-1", "x", 5, 0, 10), granted("w2-1", "y", 6, 60, 61),
			{Op: Claim, Lock: "a", Hold: "w2-1", Owner: "y", Token: 6, Call: 62, Return: 63, Result: OK},
			{Op: Read, Lock: "a", Hold: "w2-1", Owner: "y", Token: 6, Call: 64, Return: 65, Result: OK, Value: 1},
			unlocked("w2-1", 66, 67),
		},
		log:    []Entry{{Value: 1, Token: 5, Owner: "x", Hold: "w1-1"}},
		window: []Window{{Kind: WorkerKilled, Worker: 1, Start: 12, End: 50, Lossy: true}},
	},
	{
		name: "a worker that was stopped in Lock has never believed in what it returned",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "1", Owner: "x", Token: 5, Call: 0, Return: 100, Result: OK, Valid: 50},
			lostUnlock("1", 101, 101, 50), granted("2", "y", 6, 20, 60), unlocked("2", 110, 120),
		},
	},
	{
		name: "nor if the next holder has come and gone by then",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "1", Owner: "x", Token: 5, Call: 0, Return: 100, Result: OK, Valid: 50},
			lostUnlock("1", 101, 101, 50), granted("2", "y", 6, 20, 60), unlocked("2", 70, 80),
		},
	},
	{
		name: "a killed worker has not believed past its deadline, though it was heard of after it",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "w1-1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 50},
			granted("w2-1", "y", 6, 20, 60), unlocked("w2-1", 70, 80), stored(Write, Stale, "w1-1", "x", 5, 1, 90, 91),
			stored(Claim, OK, "w2-1", "y", 6, 0, 61, 62),
		},
		window: []Window{{Kind: WorkerKilled, Worker: 1, Start: 95, End: 99}},
	},
	{
		name: "S3, S4: a killed worker was heard of before its deadline, and another had the lock already",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "w1-1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 50},
			granted("w2-1", "y", 6, 20, 30), unlocked("w2-1", 70, 80), stored(Write, Fail, "w1-1", "x", 5, 1, 40, 41),
		},
		window: []Window{{Kind: WorkerKilled, Worker: 1, Start: 45, End: 99}},
		want:   []string{"S3", "S4"},
	},
	{
		name: "S3, S4: a worker was killed as soon as it had the lock, and another believed in it still",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "w1-1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 100},
			granted("w2-1", "y", 6, 15, 20), lostUnlock("w1-1", 101, 102, 100),
		},
		window: []Window{{Kind: WorkerKilled, Worker: 2, Start: 21, End: 99}},
		want:   []string{"S3", "S4"},
	},
	{
		name: "S3, S4: a killed worker had renewed, as its writes tell",
		events: []Event{
			{Op: Lock, Lock: "a", Hold: "w1-1", Owner: "x", Token: 5, Call: 0, Return: 10, Result: OK, Valid: 50},
			granted("w2-1", "y", 6, 55, 60), unlocked("w2-1", 90, 91),
			{Op: Read, Lock: "a", Hold: "w1-1", Owner: "x", Token: 5, Call: 70, Return: 71, Result: OK, Valid: 120},
		},
		window: []Window{{Kind: WorkerKilled, Worker: 1, Start: 80, End: 99}},
		want:   []string{"S3", "S4"},
	},
	{
		name:   "S2: a killed worker's claim was told, and came later",
		events: append(untold(), stored(Claim, OK, "w2-1", "y", 6, 0, 80, 81)),
		window: []Window{{Kind: WorkerKilled, Worker: 2, Start: 85, End: 99}},
		want:   []string{"S2 by Porcupine"},
	},
	{
		name:   "S2: a killed worker of a shared owner claims nothing",
		events: shared(untold()),
		window: []Window{{Kind: WorkerKilled, Worker: 2, Start: 65, End: 99}},
		want:   []string{"S2 by Porcupine"},
	},
	{
		name:   "a killed worker has claimed and could not tell",
		events: untold(),
		window: []Window{{Kind: WorkerKilled, Worker: 2, Start: 65, End: 99}},
	},
	{
		name:   "S2: a worker that lives has not claimed",
		events: untold(),
		want:   []string{"S2 by Porcupine"},
	},
	{
		name:   "an owner enters its hold that a failover has brought back",
		events: shared(repeated()),
		window: []Window{{Kind: "failover", Failover: true, Lossy: true, Start: 15, End: 60}},
	},
	{
		name:   "S1, S4: no failover has brought it back",
		events: shared(repeated()),
		window: []Window{{Kind: "FLUSHALL", Lossy: true, Start: 15, End: 60}},
		want:   []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name:   "an owner enters its hold that a failover has brought back, and that another of its workers renewed",
		events: shared(repeated()),
		window: []Window{{Kind: "failover", Failover: true, Lossy: true, Start: 15, End: 19}},
	},
	{
		name: "S1, S4: the failover was long over when it was entered",
		events: shared(append(repeated()[:4],
			granted("3", "x", 5, 640, 650), unlocked("3", 651, 652))),
		window: []Window{{Kind: "failover", Failover: true, Lossy: true, Start: 15, End: 39}},
		want:   []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name: "counted: an owner enters again what a cut-off primary holds for it",
		events: []Event{
			granted("1", "x", 5, 0, 10), granted("2", "y", 6, 31, 32), unlocked("2", 33, 34),
			granted("3", "x", 5, 40, 50), unlocked("3", 51, 52), lostUnlock("1", 53, 54, 1_000_000),
		},
		window: []Window{{Kind: "failover", Failover: true, Lossy: true, Start: 15, End: 60}},
	},
	{
		name:   "S1, S4: a first hold repeats nothing, in a failover too",
		events: append(two(), granted("3", "z", 5, 51, 52), unlocked("3", 53, 54)),
		window: []Window{{Kind: "failover", Failover: true, Lossy: true, Start: 15, End: 60}},
		want:   []string{"S1", "S1 by Porcupine", "S4"},
	},
	{
		name:   "S2: a worker that lives does not tell of its write",
		events: []Event{granted("w1-1", "x", 5, 0, 10), unlocked("w1-1", 20, 30)},
		log:    []Entry{{Value: 1, Token: 5, Owner: "x", Hold: "w1-1"}},
		want:   []string{"S2"},
	},
	{
		name:   "L1: the lock is not had for long after the heal",
		events: []Event{granted("1", "x", 5, 0, 10), unlocked("1", 11, 12), granted("2", "y", 6, 11, 5000), unlocked("2", 5001, 5002)},
		window: []Window{{Kind: "blackhole", Start: 13, End: 100}},
		want:   []string{"L1"},
	},
}

func TestKnownHistoriesAreJudgedAsTheyShould(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := &History{Events: c.events, Windows: c.window}
			if c.log != nil {
				h.Store = map[string][]Entry{"a": c.log}
			}
			v := h.Check(Rules{Contended: []string{"a"}, HealBound: 1000, LossSlack: 100, Linger: 500, Timeout: time.Minute, Quorum: c.quorum})
			var got []string
			for _, one := range v.Violations {
				if !slices.Contains(got, one.Check) {
					got = append(got, one.Check)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q: %v", got, c.want, v.Violations)
			}
			if v.Unknown > 0 {
				t.Errorf("%d partitions are undecided", v.Unknown)
			}
			if excused := strings.Contains(c.name, "counted"); excused != (v.Excused > 0) {
				t.Errorf("%d breaches were excused", v.Excused)
			}
		})
	}
}

func TestAHistoryTooLargeForPorcupineIsUnknown(t *testing.T) {
	var events []Event
	for i := range int64(MaxPartition/2 + 1) {
		hold := time.Duration(i).String()
		events = append(events, granted(hold, hold, i+1, 4*i, 4*i+1), unlocked(hold, 4*i+2, 4*i+3))
	}
	v := (&History{Events: events}).Check(Rules{Timeout: time.Minute})
	if v.Unknown != 1 || len(v.Violations) > 0 {
		t.Errorf("got %d unknown and %v; want the mutex's partition unknown", v.Unknown, v.Violations)
	}
}

func TestTheEventsOfAProcessSurviveIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker-1.jsonl")
	r, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Add(two()...)
	// Not closed: the process is dead. Half a line of the last event.
	if _, err := r.f.WriteString(`{"op":"lock","lo`); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAll(filepath.Dir(path))
	if err != nil || !slices.Equal(got, two()) {
		t.Errorf("got %v, %v; want %v", got, err, two())
	}
}

func TestAHistoryThatWasKeptIsReadAsItWas(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNoEvents) {
		t.Errorf("an empty folder: got %v, want ErrNoEvents", err)
	}
	r, err := Create(filepath.Join(dir, "worker-1.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want := &History{
		Events:  two(),
		Windows: []Window{{Kind: "planned failover", Start: 1, End: Never, Hits: 1, Lossy: true, Failover: true}},
		Store:   map[string][]Entry{"a": {{Value: 1, Token: Never, Owner: "x", Hold: "1"}}},
	}
	r.Add(want.Events...)
	if err := errors.Join(r.Close(), want.Save(dir)); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(dir); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}
