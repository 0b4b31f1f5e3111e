package cached

import (
	"strings"
	"testing"
)

// What the model finds.
const (
	two      = "are both in a section"
	twice    = "which was used before"
	floor    = "is granted behind hold"
	untold   = "and nothing is under way that tells it"
	interval = "begins a section a check interval after hold"
	stuck    = "cannot have any more what it waits for"
)

// mutants are the rules, each left out, the scenario that shows what it is for, and
// what is found there.
var mutants = []struct {
	name string
	off  ruleSet
	in   string
	why  string
}{
	{"R1 the hold's late copies are forgotten with its first section", off(copiesAreTheHolds), "requests are copied", stuck},
	{"R2 the answer to a renewal is dropped in another section", off(renewalsAreTheHolds), "the lock is taken away", "was told that its hold is gone"},
	{"R3 the section's own call waits as any other does", off(reentryIsNoGrant), "the section enters the lock again", stuck},
	{"R4 a section begins on what is on its way back", off(noneOfWhatLeaves), "two clients", two},
	{"R4 the next hold has the id of the last", off(freshIDs), "requests are copied", twice},
	{"R5 a block comes with the grant", off(blockWithRenewal), "a replica is promoted", twice},
	{"R5 a block does not raise the fence", off(blockRaisesFence), "the lock is taken away, and the clock is behind", twice},
	{"R5 the floor is the server's token", off(floorIsLastUsed), "a replica is promoted, and its clock is behind", floor},
	{"R5 the withdrawal of a lost hold has no floor", off(withdrawalsHaveFloors), "a replica is promoted, and its clock is behind", floor},
	{"R6 sections begin after a recall", off(noGrantAfterRecall), "two clients", "keeps what"},
	{"R6 sections begin on an old contact", off(contactIsYoung), "messages are lost", interval},
	{"R6 the contact is the answer, not the request", off(contactIsSending), "answers are slow", interval},
	{"R6 sections begin without a subscription", off(noGrantUnsubscribed), "a subscription breaks", untold},
	{"R6 a subscription that is there again is enough", off(lostSubscriptionCounts), "a subscription breaks", untold},
	{"R6 a subscription at the grant is enough", off(subscribedAtSending), "a subscription breaks", untold},
	{"R7 who queues recalls nothing", off(joinsRecall), "two clients", untold},
	{"R7 a try recalls nothing", off(triesRecall), "another tries", untold},
	{"R7 a client's own queueing recalls", off(ownDoNotRecall), "an owner of its own", "is recalled for its own client"},
	{"R8 a grant does not tell that others wait", off(grantsTell), "a caching client and two others", untold},
	{"R8 a renewal does not tell", off(renewalsTell), "messages are lost", interval},
	{"R8 a recall before the grant is forgotten", off(earlyRecallsCount), "two clients", untold},
	{"R9 a hold is kept though it was recalled", off(recallIsHeeded), "two clients", "keeps what"},
	{"R10 a try leaves its place in the queue", off(triesWithdraw), "another tries", "its place in the queue stays"},
	{"R10 a try waits for as long as it takes", off(triesAreBounded), "another tries", stuck},
	{"R11 nothing ends what is idle", off(idleEnds), "an older process", stuck},
	{"R14 a lock is taken away by the token of its section", off(forceByHold), "the lock is taken away", "its own client took its lock away"},
	{"R16 an owner of its own does not have the hold given back", off(ownersClaim), "an owner of its own", untold},
	{"R17 the new form of a message goes to an older process", off(formsByEntry), "an older process", "cannot read its grant"},
}

// with returns a scenario without some of the rules.
func with(t *testing.T, name string, off ruleSet) *scenario {
	t.Helper()
	for _, sc := range scenarios {
		if sc.name == name {
			sc.off = off
			return &sc
		}
	}
	t.Fatalf("there is no scenario %q", name)
	return nil
}

// TestMutants leaves out each rule, and the exploration finds what it is for.
func TestMutants(t *testing.T) {
	skipUnderRace(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			var events [states][kinds]int
			s := explore(t, with(t, m.in, m.off), 3_000_000, &events)
			if t.Log(s.found); !strings.Contains(s.found, m.why) || s.found == "" {
				t.Errorf("got no way to %q", m.why)
			}
		})
	}
}

// TestCover leaves out what another rule covers for, and nothing is found: it saves
// time, and no more.
func TestCover(t *testing.T) {
	skipUnderRace(t)
	for _, c := range []struct {
		name string
		off  ruleSet
		in   string
	}{
		{"R7 who checks in recalls nothing: R8 and R11 cover for it", off(checkInsRecall), "messages are lost"},
		{"R10 a try is not told that the lock is in use: its bound covers for it", off(busyAnswers), "another tries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events [states][kinds]int
			if s := explore(t, with(t, c.in, c.off), 3_000_000, &events); s.found != "" {
				t.Errorf("it breaks something: %s", s.found)
			}
		})
	}
}
