package main

// together breaks MultiLocks.
var together = []mutant{
	{
		name:   "each process waits for the members in its own order",
		edit:   edit{"internal/lifecycle/order.go", "return cmp.Or(strings.Compare(p.Name, q.Name), strings.Compare(p.id, q.id))", "return cmp.Or(cmp.Compare(p.place, q.place), strings.Compare(p.id, q.id))"},
		killer: lifecycle("TestMembersAreWaitedForInOneOrder"),
	},
	{
		name:   "a try in vain keeps the members that were free",
		edit:   edit{"internal/lifecycle/group.go", "	if err := worst(errs); err != nil {\n		giveBackAll(holds)\n", "	if err := worst(errs); err != nil {\n"},
		killer: lifecycle("TestATryInVainHoldsNoMember"),
	},
	{
		name:   "a whole is valid as long as its longest member",
		edit:   edit{"internal/lifecycle/grouplease.go", "u.Before(until)", "u.After(until)"},
		killer: lifecycle("TestAWholeIsBelievedNoLongerThanEachMember"),
	},
	{
		name:   "a whole is believed though a member is over",
		edit:   edit{"internal/lifecycle/grouplease.go", "if l.Err() != nil {", "if l == nil {"},
		killer: lifecycle("TestAWholeIsBelievedNoLongerThanEachMember"),
	},
	{
		name:   "the loss of a member leaves the others held",
		edit:   edit{"internal/lifecycle/grouplease.go", "			_ = other.unlock(ctx)\n", "			_ = ctx\n"},
		killer: redlock("TestTheLossOfOneMemberIsTheLossOfAll"),
	},
	{
		name:   "a fixed lease of a whole is renewed",
		edit:   edit{"internal/lifecycle/group.go", "errs[i] = o.fix(ctx)", "errs[i] = o.err()"},
		killer: redlock("TestAFixedLeaseBeginsWhenAllAreHeld"),
	},
}

// quorum breaks RedLock: its votes, its tokens, its nodes.
var quorum = []mutant{
	{
		name:   "a vote that crossed a new subscription is believed",
		edit:   edit{"redlock/step.go", "t.votes[e.node].link.recheck()", "_ = t"},
		killer: redlock("TestAnAnswerFromBeforeAMessageIsNotTheLastWord/lost"),
	},
	{
		name:   "a vote that an extension crosses stays shorter",
		edit:   edit{"redlock/attempt.go", "	r.lengthen(t, i)\n", ""},
		killer: redlock("TestAVoteThatAnExtensionCrossesIsAskedForAsMuch"),
	},
	{
		name:   "a vote that a message crosses is the last word",
		edit:   edit{"redlock/attempt.go", "	case v.link != idle:\n		v.link.recheck()\n", "	case v.link != idle:\n"},
		killer: redlock("TestAnAnswerFromBeforeAMessageIsNotTheLastWord/crosses"),
	},
	{
		name:   "a minority is a quorum",
		edit:   edit{"redlock/arithmetic.go", "return n/2 + 1 }", "return max(1, n/2) }"},
		killer: redlock("TestTwoMajoritiesShareANode"),
	},
	{
		name:   "a hold on a quorum ends with the last of its nodes",
		edit:   edit{"redlock/arithmetic.go", "return answers[need-1]", "return answers[0]"},
		killer: redlock("TestAQuorumEndsWithTheFirstOfItsNodes"),
	},
	{
		name: "a renewal is lost where one node does not have the hold",
		edit: edit{
			"redlock/arithmetic.go",
			"func (p poll) renewal() verdict {\n	switch {\n	case p.yes >= p.need:\n		return won\n	case p.no > p.nodes-p.need:",
			"func (p poll) renewal() verdict {\n	switch {\n	case p.yes >= p.need:\n		return won\n	case p.no > 0:",
		},
		killer: redlock("TestARenewalIsLostOnlyIfAQuorumCannotHaveIt"),
	},
	{
		name:   "votes short of a quorum are kept",
		edit:   edit{"redlock/attempt.go", "		err = t.quorumError(r.facts)\n	}\n	r.drop()\n", "		err = t.quorumError(r.facts)\n	}\n	r.current, r.last, t.fate = nil, t, stays\n"},
		killer: redlock("TestVotesShortOfAQuorumAreGivenBack"),
	},
	{
		name:   "a waiter keeps a minority of the votes",
		edit:   edit{"redlock/attempt.go", "		r.state = refused\n		r.requeue(t, 0, nil)\n", "		r.state, r.last, t.fate = refused, t, stays\n		r.queue(&t.req, 0, nil)\n"},
		killer: redlock("TestNobodyKeepsAMinorityOfTheVotesWhileWaiting"),
	},
	{
		name:   "a lock is had whatever validity is left",
		edit:   edit{"redlock/token.go", "left < r.facts.least(t.req.TTL)", "left < 0"},
		killer: redlock("TestALockWithLittleValidityLeftIsNotHad"),
	},
	{
		name:   "a token counts where another one was accepted",
		edit:   edit{"redlock/arithmetic.go", "return p.Token > 0 && a.Token == p.Token && (", "return p.Token > 0 && ("},
		killer: redlock("TestATokenIsIssuedOnlyAboveWhatAQuorumAccepted"),
	},
	{
		name:   "a token is issued when one node has accepted it",
		edit:   edit{"redlock/token.go", "	case has >= need:\n		r.win(t)\n", "	case has >= 1:\n		r.win(t)\n"},
		killer: redlock("TestATokenIsIssuedOnlyAboveWhatAQuorumAccepted"),
		also: []edit{{
			"redlock/token.go",
			"	votes := t.answers(func(v *vote) bool { return v.accepts(t) })\n",
			"	votes := t.answers((*vote).hasVote)\n",
		}},
	},
	{
		name:   "a node accepts a token that is not above the last (> made >=)",
		edit:   edit{"scripts/vote.lua", "local above = proposed > (accepted or now_us)", "local above = proposed >= (accepted or now_us)"},
		killer: redisengine("TestVoteAcceptsFreshTokens/embedded"),
	},
	{
		name:   "a node does not remember what it accepted",
		edit:   edit{"scripts/vote.lua", "if not accepted or accepted < proposed then", "if false then"},
		killer: redisengine("TestVoteAcceptsFreshTokens/embedded"),
	},
	{
		name:   "a node accepts a token from any future",
		edit:   edit{"scripts/vote.lua", " and proposed <= now_us + HOUR_US", ""},
		killer: redisengine("TestVoteAcceptsFreshTokens/embedded"),
	},
	{
		name:   "a node without a record accepts a token behind its clock",
		edit:   edit{"scripts/vote.lua", "local above = proposed > (accepted or now_us)", "local above = proposed > (accepted or 0)"},
		killer: redisengine("TestVoteAcceptsFreshTokens/embedded"),
	},
	{
		name:   "an owner's token is accepted though a greater one was",
		edit:   edit{"scripts/vote.lua", "return proposed >= (accepted or now_us - retention_ms * 1000)", "return true"},
		killer: redisengine("TestVoteKeepsTheTokenOfAnOwner/embedded"),
	},
	{
		name:   "a further hold is given a fresh token",
		edit:   edit{"scripts/vote.lua", "return above and (kind == '2' or count == 1 or token == 0)", "return above"},
		killer: redisengine("TestVoteKeepsTheTokenOfAnOwner/embedded"),
	},
	{
		name:   "a node that has forgotten votes",
		edit:   edit{"scripts/vote.lua", "if KEYS[6] and redis.call('HGET', KEYS[6], 'id') ~= ARGV[4] then", "if false then"},
		killer: redlock("TestANodeThatForgetsInUseHasNoVote"),
	},
	{
		name:   "an attempt that was given up leaves no tombstone",
		edit:   edit{"redlock/outbox.go", "Tombstone: v.trace == unclear || leave,", "Tombstone: v.trace > unclear || leave,"},
		killer: redlock("TestALateAcquireIsRefusedAfterItsRelease"),
	},
	{
		name:   "a hold never spreads to nodes that come back",
		edit:   edit{"redlock/renewal.go", "		r.repair(n.req.TTL)\n", ""},
		killer: redlock("TestAHoldSpreadsToNodesThatComeBack"),
	},
	{
		name:   "a hold is lost while votes for it are under way",
		edit:   edit{"redlock/renewal.go", "v.link.isPending() && t.phase == held", "v.link.isPending() && t.phase == spread"},
		killer: redlock("TestAHoldIsNotLostWhileItsVotesAreUnderWay"),
	},
	{
		name:   "a late vote counts at once, whatever the node has accepted",
		edit:   edit{"redlock/renewal.go", "case v.says == counted && now.Before(v.end):", "case v.hasVote() && now.Before(v.end):"},
		killer: redlock("TestALateVoteDoesNotHideThatAnotherHadTheLock/Extend"),
	},
	{
		name:   "a late vote is given back as if it had counted",
		edit:   edit{"redlock/outbox.go", "(gone && o.resend == 0 || t.isHeld() && v.says != counted)", "gone && o.resend == 0"},
		killer: redlock("TestALateVoteDoesNotHideThatAnotherHadTheLock/Unlock"),
	},
	{
		name:   "a vote that has run out counts",
		edit:   edit{"redlock/renewal.go", "v.says == counted && now.Before(v.end)", "v.says == counted && !now.IsZero()"},
		killer: redlock("TestAVoteThatRanOutDoesNotCount"),
	},
	{
		name:   "a renewal that reaches too few does not spread the hold",
		edit:   edit{"redlock/renewal.go", "if n.verdict != taken {", "if n.verdict == won {"},
		killer: redlock("TestAHoldSpreadsWhileItsRenewalsFail"),
	},
	{
		name:   "a vote that comes after Extend ends before the others",
		edit:   edit{"redlock/renewal.go", "			r.askOwned(t, i, ttl)\n", "			r.askOwned(t, i, 0)\n"},
		killer: redlock("TestAVoteThatIsLackingAtAnExtensionIsAskedForAsMuch"),
	},
	{
		name:   "an emptied node is given its id back",
		edit:   edit{"scripts/enrol.lua", "if ARGV[2] == '' then", "if ARGV[2] ~= nil then"},
		killer: redisengine("TestEnrol/embedded"),
	},
	{
		name:   "a late vote never counts where the node has accepted a greater token",
		edit:   edit{"redlock/renewal.go", "n.attempt.votes[i].prove()", "_ = i"},
		killer: redlock("TestALateVoteCountsOnceAQuorumIsSeenWithoutIt"),
	},
}
