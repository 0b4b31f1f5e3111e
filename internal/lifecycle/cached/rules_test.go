package cached

// rule is one of the rules, by what its mutant leaves out.
type rule uint8

const (
	copiesAreTheHolds rule = iota
	renewalsAreTheHolds
	reentryIsNoGrant
	noneOfWhatLeaves
	freshIDs
	blockWithRenewal
	blockRaisesFence
	floorIsLastUsed
	withdrawalsHaveFloors
	noGrantAfterRecall
	contactIsYoung
	contactIsSending
	noGrantUnsubscribed
	lostSubscriptionCounts
	subscribedAtSending
	joinsRecall
	checkInsRecall
	triesRecall
	ownDoNotRecall
	grantsTell
	renewalsTell
	earlyRecallsCount
	recallIsHeeded
	triesWithdraw
	triesAreBounded
	busyAnswers
	idleEnds
	forceByHold
	ownersClaim
	formsByEntry
	rules = iota
)

type ruleSet uint32

func (s ruleSet) has(r rule) bool { return s&(1<<r) != 0 }

func off(rs ...rule) (s ruleSet) {
	for _, r := range rs {
		s |= 1 << r
	}
	return s
}

// lie has the machine of a be told something else where a rule of its own is left
// out: the mutants need no switch in what they break.
func (w *world) lie(a int8, e *Event) {
	h := &w.agents[a].h
	if w.role(a) != caching {
		return
	}
	off := w.sc.off
	grants := e.Kind == Wanted || e.Kind == Ended || e.Kind == Renewed
	if grants && off.has(noGrantAfterRecall) {
		h.recalled, e.Others = false, false
	}
	if grants && off.has(contactIsYoung) {
		h.contact = now
	}
	if off.has(noGrantUnsubscribed) {
		e.Subscribed = true
	}
	if off.has(subscribedAtSending) && e.Kind == Sent {
		e.Subscribed = true
	}
}
