package main

// acquiring breaks who gets a lock, and for how long.
var acquiring = []mutant{
	{
		name:   "a re-entry does not look at the owner",
		edit:   edit{"scripts/acquire.lua", "if not lock.free and lock.owner == owner then", "if not lock.free then"},
		killer: redisengine("TestAcquireGrants/embedded"),
	},
	{
		name:   "a repeated acquire counts again",
		edit:   edit{"scripts/acquire.lua", "if lock.holds[hold] then\n    -- A repeat", "if false then\n    -- A repeat"},
		killer: redisengine("TestAcquireReenters/embedded"),
	},
	{
		name: "a repeated acquire does not renew the TTL",
		edit: edit{
			"scripts/acquire.lua",
			"local stop = math.max(lock.holds[hold] or 0, now + ttl_ms)",
			"local stop = lock.holds[hold] or now + ttl_ms",
		},
		killer: redisengine("TestAcquireReenters/embedded"),
	},
	{
		name:   "a repeated acquire writes before it renews",
		edit:   edit{"scripts/acquire.lua", "redis.call('PEXPIRE', KEYS[1], left_ms)\n  else", "else"},
		killer: redisengine("TestScriptsOnFullMemory/a repeated acquire renews"),
	},
	{
		name: "a re-entry mints a token",
		edit: edit{
			"scripts/acquire.lua",
			"lock.count = lock.count + 1",
			"lock.count, lock.token = lock.count + 1, mint(floor, retention_ms)",
		},
		killer: redisengine("TestAcquireReenters/embedded"),
	},
	{
		name:   "a lock is granted without a TTL",
		edit:   edit{"scripts/base.lua", "  redis.call('PEXPIRE', KEYS[1], ttl_ms)\n", ""},
		killer: redisengine("TestAcquireGrants/embedded"),
	},
	{
		name:   "a hold that has ended counts",
		edit:   edit{"scripts/state.lua", "if stop > now then", "if stop > 0 then"},
		killer: redisengine("TestAcquireReenters/embedded"),
	},
	{
		name:   "a foreign hash is taken for a lock",
		edit:   edit{"scripts/state.lua", "if lock.exists and not (lock.token and lock.owner) then", "if false then"},
		killer: redisengine("TestForeignKeys/embedded"),
	},
	{
		name:   "a withdrawn hold is granted",
		edit:   edit{"scripts/acquire.lua", "if others and has_tombstone(hold) then", "if false then"},
		killer: redisengine("TestWithdraw/embedded"),
	},
	{
		name:   "a newcomer takes a free lock past those who wait",
		edit:   edit{"scripts/acquire.lua", "if lock.free and not others then", "if lock.free then"},
		killer: redisengine("TestAcquireOfAFreeLockThatOthersWaitFor/embedded"),
	},
	{
		name:   "of several locks some are kept where one is taken",
		edit:   edit{"scripts/all.lua", "release(keys[n], { args[n][HOLD], '0', '0', args[n][RETENTION] })", ""},
		killer: redisengine("TestAcquireAll/embedded"),
	},
	{
		name:   "a late copy gives back what the first had taken",
		edit:   edit{"scripts/all.lua", "elseif reply[1] == 1 and not had[n] then", "elseif reply[1] == 1 then"},
		killer: redisengine("TestAcquireAll/embedded"),
	},
}

// tokens breaks their order.
var tokens = []mutant{
	{
		name:   "a token may repeat the fence",
		edit:   edit{"scripts/base.lua", "math.max(n + 1, floor + 1, now_us)", "math.max(n, floor + 1, now_us)"},
		killer: redisengine("TestAcquireMintsTokens/embedded"),
	},
	{
		name:   "a token is not raised to the clock",
		edit:   edit{"scripts/base.lua", "math.max(n + 1, floor + 1, now_us)", "math.max(n + 1, floor + 1)"},
		killer: redisengine("TestAcquireMintsTokens/embedded"),
	},
	{
		name:   "a token is not raised above what the client has seen",
		edit:   edit{"scripts/base.lua", "math.max(n + 1, floor + 1, now_us)", "math.max(n + 1, now_us)"},
		killer: redisengine("TestAcquireMintsTokens/embedded"),
	},
	{
		name:   "a client's mark is believed however far ahead",
		edit:   edit{"scripts/base.lua", "return n <= now_us + HOUR_US and n or 0", "return n"},
		killer: redisengine("TestAcquireMintsTokens/embedded"),
	},
	{
		name:   "the clock's microseconds are joined as text",
		edit:   edit{"scripts/base.lua", "clock[1] * 1000000 + clock[2]", "tonumber(clock[1] .. clock[2])"},
		killer: redisengine("TestTokensOfAClockOfFewMicroseconds"),
	},
	{
		name:   "a token is joined to a message as a number",
		edit:   edit{"scripts/queue.lua", "hold .. ' ' .. int(token)", "hold .. ' ' .. token"},
		killer: redisengine("TestGrantsByMessage/redis-server"),
	},
	{
		name:   "a lock's token is not remembered when it is passed on",
		edit:   edit{"scripts/release.lua", "    floor = math.max(floor, lock.token)\n", ""},
		killer: redisengine("TestRelease/embedded"),
	},
	{
		name:   "a lease's token is the greatest that its client has seen",
		edit:   edit{"internal/lifecycle/grant.go", "	o.token = o.grant().Token\n", "	o.token = o.grant().Token + int64(m.counts.acquired.Load())\n"},
		killer: root("TestReentryByTheContextOfTheSameLock"),
	},
}
