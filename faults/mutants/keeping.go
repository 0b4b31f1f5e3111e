package main

// keeping breaks what stays of a lock that is given back before its minimum is over.
var keeping = []mutant{
	{
		name:   "a minimum counts from the release",
		edit:   edit{"scripts/keep.lua", "return (lock.since or now) + keep_ms", "return now + keep_ms"},
		killer: redisengine("TestAReleaseKeepsTheMinimum/embedded"),
	},
	{
		name:   "what came back late has a minimum",
		edit:   edit{"scripts/keep.lua", "if keep_ms == 0 or lock.token ~= lease then", "if keep_ms == 0 then"},
		killer: redisengine("TestAReleaseKeepsTheMinimum/embedded"),
	},
	{
		name:   "a kept lock has its owner still",
		edit:   edit{"scripts/keep.lua", "'owner:' .. KEPT, 1,", "'owner:' .. lock.owner, 1,"},
		killer: redisengine("TestAReleaseKeepsTheMinimum/embedded"),
	},
	{
		name: "a kept hold has its id still",
		edit: edit{
			"scripts/keep.lua",
			"'owner:' .. KEPT, 1, 'hold:' .. hold .. '/kept', int(stop),",
			"'owner:' .. KEPT, 1, 'hold:' .. hold, int(stop),",
		},
		killer: redisengine("TestWhatIsLateAboutAKeptHold/embedded"),
	},
	{
		name:   "an inner hold's minimum is forgotten",
		edit:   edit{"scripts/release.lua", "minimum = math.max(minimum, lock.kept or 0)", ""},
		killer: redisengine("TestAMinimumOfOneHoldAmongSeveral/embedded"),
	},
	{
		name:   "an owner re-enters by its minimum",
		edit:   edit{"scripts/state.lua", "lock.owner, lock.count = KEPT, 1", "lock.count = 1"},
		killer: redisengine("TestAMinimumOfOneHoldAmongSeveral/embedded"),
	},
	{
		name: "an inner minimum is written before anything is deleted",
		edit: edit{
			"scripts/release.lua",
			"redis.call('HDEL', KEYS[1], 'hold:' .. hold)\n    drop_ended(lock)\n    if minimum > now then\n      keep_inner(lock, hold, minimum)\n    end\n",
			"if minimum > now then\n      keep_inner(lock, hold, minimum)\n    end\n    redis.call('HDEL', KEYS[1], 'hold:' .. hold)\n    drop_ended(lock)\n",
		},
		killer: redisengine("TestScriptsOnFullMemory/a hold is released and kept, among others too"),
	},
	{
		name:   "a copy of the release that kept is told that the hold is gone",
		edit:   edit{"scripts/release.lua", "local status = copy and 3 or 0", "local status = 0"},
		killer: redisengine("TestWhatIsLateAboutAKeptHold/embedded"),
	},
	{
		name:   "the end of a minimum is announced to nobody",
		edit:   edit{"scripts/release.lua", "if lock.free and keep_ms > 0 then", "if false then"},
		killer: redisengine("TestWhatIsLateAboutAKeptHold/embedded"),
	},
	{
		name:   "a nudge reads as a grant",
		edit:   edit{"scripts/keep.lua", "hold .. ' kept ' ..", "hold .. ' 1 ' .."},
		killer: redisengine("TestAReleaseThatKeepsNudgesTheFirstTwo/embedded"),
	},
	{
		name:   "the first alone is nudged",
		edit:   edit{"scripts/keep.lua", "for place = 0, 1 do", "for place = 0, 0 do"},
		killer: redisengine("TestAReleaseThatKeepsNudgesTheFirstTwo/embedded"),
	},
	{
		name:   "a nudge is taken for a grant",
		edit:   edit{"notify.go", "if m.Kept {", "if false {"},
		killer: lifecycle("TestWaitersAreServedWhenTheMinimumIsOver/the holder's client is gone"),
	},
	{
		name:   "a nudge moves nothing",
		edit:   edit{queueRules, "		fx.add(Effect{Do: Hasten, W: w, At: now.Add(max(e.Answer.Left, MinCheck))})\n", ""},
		killer: lifecycle("TestWaitersAreServedWhenTheMinimumIsOver/the holder's client is gone"),
	},
	{
		name:   "a nudge is forgotten for an answer from before it",
		edit:   edit{queueRules, "	w.missed = true\n	if w.state == Queued {\n		fx.add(Effect{Do: Hasten, W: w, At: now.Add", "	if w.state == Queued {\n		fx.add(Effect{Do: Hasten, W: w, At: now.Add"},
		killer: lifecycle("TestANudgeCrossesAnAnswer"),
	},
	{
		name:   "the second does not ask when the minimum is over",
		edit:   edit{queueRules, " || ans.Place == 1 && ans.Owner == engine.KeptOwner", ""},
		killer: lifecycle("TestTheSecondAsksWhenTheMinimumIsOver"),
	},
	{
		name:   "nobody announces the end of a minimum",
		edit:   edit{"internal/lifecycle/release.go", "if rel.Kept > 0 {", "if false {"},
		killer: lifecycle("TestWaitersAreServedWhenTheMinimumIsOver/no waiter is nudged"),
	},
	{
		name:   "a closed client has minimums to announce",
		edit:   edit{"internal/lifecycle/close.go", "	m.dropEnds()\n", ""},
		killer: lifecycle("TestCloseLeavesMinimumsToTheServer"),
	},
	{
		name:   "Close waits for the end of a minimum to be announced",
		edit:   edit{"internal/lifecycle/minimum.go", "err := m.onceOpen(ctx, func", "err := m.once(ctx, func"},
		killer: lifecycle("TestCloseDoesNotWaitForTheEndOfAMinimum"),
	},
	{
		name:   "what no caller had keeps its minimum",
		edit:   edit{"internal/lifecycle/minimum.go", "if !o.had.Load() {", "if false {"},
		killer: lifecycle("TestWhatWasNoLeaseIsFreeAtOnce"),
	},
	{
		name:   "a lease has no minimum",
		edit:   edit{"internal/lifecycle/lock.go", "	o.had.Store(true)\n", ""},
		killer: lifecycle("TestAJobRunsOnceInAFleet"),
	},
	{
		name:   "a composite's members have no minimum",
		edit:   edit{"internal/lifecycle/group.go", "		o.had.Store(true)\n", "		_ = o\n"},
		killer: lifecycle("TestACompositeKeepsItsMembersMinimums"),
	},
	{
		name:   "the server grants for a TTL that is shorter than the minimum",
		edit:   edit{"internal/engine/engine.go", "return max(r.TTL, r.Keep)", "return r.TTL"},
		killer: lifecycle("TestTheEndOfALeaseKeepsItsMinimum/a loss by deadline"),
	},
	{
		name:   "a grant by message may be shorter than the minimum",
		edit:   edit{"internal/lifecycle/grant.go", " || o.grant().Left < o.req.Keep", ""},
		killer: lifecycle("TestAGrantByMessageHasItsMinimumWhenLockReturns"),
	},
	{
		name:   "a lease is believed for its minimum",
		edit:   edit{"internal/lifecycle/minimum.go", "		ans.Left = min(ans.Left, ttl)\n", "		_ = ttl\n"},
		killer: lifecycle("TestALeaseIsBelievedForItsTTLWhateverItsMinimum"),
	},
	{
		name:   "the owner of what is kept may be named",
		edit:   edit{"reentrant.go", "if o == KeptOwner {", "if false {"},
		killer: root("TestOwnersOutOfRangeAreInvalid"),
	},
}
