package main

// attempting breaks the steps of RedLock's attempts, of which all orders of events are
// explored.
var attempting = []mutant{
	{
		name:   "a place in a queue is forgotten once another has the node",
		edit:   edit{"redlock/vote.go", "	if *t == hold {\n", "	if *t == hold || *t == place {\n"},
		killer: explored("they do not agree on the coordinator"),
	},
	{
		name:   "an owner's token is not had until its nodes are asked for it",
		edit:   edit{"redlock/token.go", "	t.proposal = p\n	r.agree(t)\n", "	t.proposal = p\n	r.complete(t)\n"},
		killer: explored("one owner"),
	},
	{
		name:   "a vote that is under way is not given back",
		edit:   edit{"redlock/outbox.go", "if v.link == idle && v.trace == none {", "if v.trace == none {"},
		killer: explored("two wait"),
	},
	{
		name:   "a release without an answer is not sent again",
		edit:   edit{"redlock/outbox.go", "		v.back, v.err = retrying, err\n		o.resend++\n		r.sendRelease(t, i)\n		return\n", "		v.back, v.err = stopped, err\n"},
		killer: explored("two wait"),
	},
	{
		name:   "a release that a copy of it has done is a loss",
		edit:   edit{"redlock/outbox.go", "(gone && o.resend == 0 || ", "(gone || "},
		killer: explored("alone"),
	},
	{
		name:   "a request without an answer leaves nothing at a node",
		edit:   edit{"redlock/vote.go", "			v.trace = unclear\n", "			v.trace.lost()\n"},
		killer: explored("two wait"),
	},
	{
		name:   "an attempt that was given up goes on with an answer",
		edit:   edit{"redlock/attempt.go", "	if t.fate != lives {\n		return\n	}\n	if again", "	if again"},
		killer: explored("two wait"),
	},
	{
		name:   "an attempt that was given up goes on when its nodes are late",
		edit:   edit{"redlock/attempt.go", "	if t.fate != lives {\n		return\n	}\n	r.decide(t)\n	if t.phase == held {", "	r.decide(t)\n	if t.phase == held {"},
		killer: explored("one tries"),
	},
	{
		name:   "a vote that ran out counts though nobody knows what its node has accepted since",
		edit:   edit{"redlock/attempt.go", "if err == nil && t.isHeld() && v.hasVote() && ans.Token == t.answer.Token {", "if t.isHeld() && v.hasVote() && v.answer.Token == t.answer.Token {"},
		killer: redlock("TestAVoteThatRanOutAndIsNotAnsweredDoesNotCount"),
	},
	{
		name:   "all attempts of a request have one id",
		edit:   edit{"redlock/attempt.go", "if r.attempts > 0 {", "if r.attempts < 0 {"},
		killer: explored("alone"),
	},
	{
		name:   "a grant that the manager did not ask for is kept from it",
		edit:   edit{"redlock/request.go", "		r.did.tell = tellGrant\n", "		return\n"},
		killer: explored("leases end"),
	},
	{
		name:   "nobody gives way where votes may be split",
		edit:   edit{"redlock/coordinator.go", "&& r.stuck(t) && r.facts.yields() {", "&& r.stuck(t) && !r.facts.yields() {"},
		killer: redlock("TestWhoeverIsStuckWithSplitVotesGivesWayByChance/it is stuck"),
	},
	{
		name:   "who waits behind a quorum gives way",
		edit:   edit{"redlock/coordinator.go", "> 1 && theirs < r.facts.need()", "> 1 && theirs >= 0"},
		killer: redlock("TestWhoeverIsStuckWithSplitVotesGivesWayByChance/another has a quorum"),
	},
	{
		name:   "a grant of another attempt is believed",
		edit:   edit{"redlock/request.go", "t != nil && t.id == id {", "t != nil {"},
		killer: redlock("TestAGrantOfAFormerAttemptIsNotBelieved"),
	},
	{
		name:   "a late vote counts whichever token its node has accepted",
		edit:   edit{"redlock/attempt.go", "v.hasVote() && ans.Token == t.answer.Token {", "v.hasVote() {"},
		killer: redlock("TestALateVoteDoesNotHideThatAnotherHadTheLock/Unlock"),
	},
}

// explored is the exploration of one kind of world.
func explored(world string) test { return redlock("TestEveryOrderOfEvents/" + world) }
