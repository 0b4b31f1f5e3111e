package main

// queueing breaks who is next.
var queueing = []mutant{
	{
		name:   "the queue is in the order of the requests",
		edit:   edit{"scripts/queue.lua", "int(now_us - w.waited_us)", "int(now_us)"},
		killer: redisengine("TestAcquireQueues/embedded"),
	},
	{
		name:   "a check-in loses its place",
		edit:   edit{"scripts/queue.lua", "'ZADD', KEYS[3], 'NX', ", "'ZADD', KEYS[3], "},
		killer: redisengine("TestAcquireQueues/embedded"),
	},
	{
		name:   "a waiter that fell silent is granted",
		edit:   edit{"scripts/queue.lua", "if w and w.seen + w.life_ms > now then", "if w then"},
		killer: redisengine("TestAcquireQueues/embedded"),
	},
	{
		name:   "a grant by message lives as long as any",
		edit:   edit{"scripts/queue.lua", "mine and w.ttl_ms or math.min(w.ttl_ms, w.life_ms)", "w.ttl_ms"},
		killer: redisengine("TestGrantsByMessage/embedded"),
	},
	{
		name:   "a waiter that nobody can reach is granted",
		edit:   edit{"scripts/queue.lua", "if mine or w.here == UNKNOWN or is_subscribed(w.channel) ~= false then", "if true then"},
		killer: redisengine("TestPassingOver/embedded"),
	},
	{
		name:   "on a cluster a message without a receiver counts as unheard",
		edit:   edit{"scripts/queue.lua", "if mine or w.here == UNKNOWN or is_subscribed", "if mine or is_subscribed"},
		killer: redisengine("TestPassingOver/embedded"),
	},
	{
		name:   "a client's word is enough that it is subscribed here",
		edit:   edit{"scripts/queue.lua", "w.subscribed ~= '1' or not is_subscribed(w.channel)", "w.subscribed ~= '1'"},
		killer: redisengine("TestWhatAnEntrySaysOfItsSubscription/embedded"),
	},
	{
		name:   "a waiter is passed over again as soon as it has checked in",
		edit:   edit{"scripts/queue.lua", "return entry and entry.here == PASSED and UNKNOWN or HERE", "return HERE"},
		killer: redisengine("TestPassingOver/embedded"),
	},
	{
		name:   "a waiter that has died is passed over once only",
		edit:   edit{"scripts/queue.lua", "entry_of(w, w.seen, PASSED)", "entry_of(w, w.seen, UNKNOWN)"},
		killer: redisengine("TestPassingOver/embedded"),
	},
	{
		name:   "who may not ask for subscribers passes over",
		edit:   edit{"scripts/queue.lua", "is_subscribed(w.channel) ~= false then", "is_subscribed(w.channel) then"},
		killer: redisengine("TestPassingOverWithoutTheRightToAsk"),
	},
	{
		name:   "full memory keeps a waiter that is passed over from being marked",
		edit:   edit{"scripts/queue.lua", "    redis.call('ZREM', KEYS[3], '') -- full memory refuses no write after a script's first\n", ""},
		killer: redisengine("TestPassingOverOnFullMemory"),
	},
	{
		name:   "PUBLISH is called, not pcalled",
		edit:   edit{"scripts/queue.lua", "redis.pcall('PUBLISH'", "redis.call('PUBLISH'"},
		killer: redisengine("TestScriptsWithoutTheRightToPublish"),
	},
}

// releasing breaks what a release gives up, and to whom.
var releasing = []mutant{
	{
		name: "a release does not compare the token",
		edit: edit{
			"scripts/release.lua",
			"seen[2] and seen[1] == ARGV[2] and call('HLEN', KEYS[1]) == 4 then\n    if not waiter",
			"seen[2] and call('HLEN', KEYS[1]) == 4 then\n    if not waiter",
		},
		killer: redisengine("TestRelease/embedded"),
	},
	{
		name: "a release beside waiters does not compare the token",
		edit: edit{
			"scripts/release.lua",
			"lock.token and (token == 0 or token == lock.token) and lock.holds[hold] ~= nil",
			"lock.token and lock.holds[hold] ~= nil",
		},
		killer: redisengine("TestRelease/embedded"),
	},
	{
		name: "a release does not look for its hold",
		edit: edit{
			"scripts/release.lua",
			"local mine = lock.token and (token == 0 or token == lock.token) and lock.holds[hold] ~= nil",
			"local mine = lock.token and (token == 0 or token == lock.token)",
		},
		killer: redisengine("TestRelease/embedded"),
	},
	{
		name: "an inner release counts down before it deletes",
		edit: edit{
			"scripts/release.lua",
			"redis.call('HDEL', KEYS[1], 'hold:' .. hold)\n    drop_ended(lock)\n",
			"redis.call('HINCRBY', KEYS[1], 'owner:' .. lock.owner, -1)\n    redis.call('HDEL', KEYS[1], 'hold:' .. hold)\n    drop_ended(lock)\n",
		},
		killer: redisengine("TestScriptsOnFullMemory/an inner hold is released"),
	},
	{
		name: "a withdrawal does not pass on what was granted in the meantime",
		edit: edit{
			"scripts/release.lua",
			"if lock.free then\n  pass_on(lock, next,",
			"if lock.free and token ~= 0 then\n  pass_on(lock, next,",
		},
		killer: redisengine("TestWithdraw/embedded"),
	},
	{
		name:   "a waiter that gives up keeps its place",
		edit:   edit{"scripts/release.lua", "if not mine and leave_queue(hold) == 1 and not copy then", "if false then"},
		killer: redisengine("TestWithdraw/embedded"),
	},
	{
		name:   "no tombstone is left",
		edit:   edit{"scripts/release.lua", "if tombstone_ms > 0 then", "if false then"},
		killer: redisengine("TestWithdraw/embedded"),
	},
	{
		name:   "a late release grants its next again",
		edit:   edit{"scripts/release.lua", "if status == 0 or copy then", "if false then"},
		killer: redisengine("TestReleaseNamesTheNext/embedded"),
	},
	{
		name:   "a next that was withdrawn is granted",
		edit:   edit{"scripts/release.lua", "and not lock.holds[next] and not has_tombstone(next) then", "and not lock.holds[next] then"},
		killer: redisengine("TestReleaseNamesTheNext/embedded"),
	},
	{
		name:   "a lock is forced whatever its token",
		edit:   edit{"scripts/force.lua", "if lock.free or lock.token ~= tonumber(ARGV[1]) then", "if lock.free then"},
		killer: redisengine("TestForce/embedded"),
	},
}

// renewing breaks what a renewal may prolong.
var renewing = []mutant{
	{
		name:   "a renewal looks at the owner only",
		edit:   edit{"scripts/renew.lua", "local stop = lock.holds[hold]", "local stop = not lock.free and lock.last"},
		killer: redisengine("TestRenew/embedded"),
	},
	{
		name:   "a renewal does not compare the token",
		edit:   edit{"scripts/renew.lua", "if not stop or token ~= 0 and token ~= lock.token then", "if not stop then"},
		killer: redisengine("TestRenew/embedded"),
	},
	{
		name: "a renewal makes the key again",
		edit: edit{
			"scripts/renew.lua",
			"local stop = lock.holds[hold]",
			"if lock.free then\n  hold_free(lock, hold, hold, token, ttl_ms)\nend\nlocal stop = lock.holds[hold]",
		},
		killer: redisengine("TestRenew/embedded"),
	},
	{
		name:   "a renewal may shorten",
		edit:   edit{"scripts/renew.lua", "stop = math.max(stop, now + ttl_ms)", "stop = now + ttl_ms"},
		killer: redisengine("TestRenew/embedded"),
	},
	{
		name: "a renewal writes before PEXPIRE",
		edit: edit{
			"scripts/renew.lua",
			"redis.call('PEXPIRE', KEYS[1], int(math.max(stop, lock.last) - now))\n",
			"redis.call('HSET', KEYS[1], 'hold:' .. hold, int(stop))\nredis.call('PEXPIRE', KEYS[1], int(math.max(stop, lock.last) - now))\n",
		},
		killer: redisengine("TestScriptsOnFullMemory/a hold is renewed"),
	},
}

// guarding breaks what a Guard lets in.
var guarding = []mutant{
	{
		name:   "a Guard lets an overtaken holder in",
		edit:   edit{"scripts/guard.lua", "tonumber(token) < tonumber(seen[1]) or", "false or"},
		killer: redisengine("TestGuardScript/embedded"),
	},
	{
		name:   "a Guard does not tell two holders of one token apart",
		edit:   edit{"scripts/guard.lua", "and owner ~= seen[2] then", "and false then"},
		killer: redisengine("TestGuardScript/embedded"),
	},
	{
		name:   "a Guard compares tokens as text",
		edit:   edit{"scripts/guard.lua", "elseif tonumber(token) < tonumber(seen[1]) or", "elseif token < seen[1] or"},
		killer: redisengine("TestGuardScript/embedded"),
	},
	{
		name:   "a Claim is not remembered",
		edit:   edit{"scripts/guard.lua", "redis.call('HSET', fence, 'token', token, 'owner', owner)\n", ""},
		killer: redisengine("TestGuardScript/embedded"),
	},
	{
		name:   "a Guard that has forgotten lets anybody in",
		edit:   edit{"scripts/guard.lua", "if tonumber(token) < now_us", "if false and tonumber(token) < now_us"},
		killer: redisengine("TestGuardScript/embedded"),
	},
	{
		name:   "a Guard takes a token from the future",
		edit:   edit{"scripts/guard.lua", "if tonumber(token) > now_us", "if false and tonumber(token) > now_us"},
		killer: redisengine("TestGuardScript/embedded"),
	},
}
