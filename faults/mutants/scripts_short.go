package main

// straight breaks the short ways of the scripts, in what sends the unusual to the long
// ones.
var straight = []mutant{
	{
		name:   "a short acquire does not see a tombstone",
		edit:   edit{"scripts/acquire.lua", "KEYS[5], KEYS[5]) --", "KEYS[1]) - 1 --"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short grant does not look at the floor",
		edit:   edit{"scripts/acquire.lua", "(ahead < 0 or ahead > 3600000000)", "true"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short grant may repeat the fence",
		edit:   edit{"scripts/acquire.lua", "fence >= 0 and fence < now_us and", "fence >= 0 and"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short grant takes any text for a fence",
		edit:   edit{"scripts/acquire.lua", "and format('%d', fence) == last or", "or"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short grant prints its token with %d on 32 bits",
		edit:   edit{"scripts/acquire.lua", "and #token > 11", "and true"},
		killer: redisengine("TestShortWays/a server of 32 bits"),
	},
	{
		name:   "a short join does not look at the owner",
		edit:   edit{"scripts/acquire.lua", "if owner and owner ~= ARGV[2] and", "if owner and"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join takes what is kept for a hold",
		edit:   edit{"scripts/acquire.lua", " and sub(field, -5) ~= '/kept'", ""},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join waits for a hold that has ended",
		edit:   edit{"scripts/acquire.lua", "elseif stop > now then", "else"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join passes a tombstone",
		edit:   edit{"scripts/acquire.lua", "elseif there == 1 or there == 2 then", "elseif there > 0 then"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join lets the queue end before its waiter",
		edit:   edit{"scripts/acquire.lua", "if there == 1 or call('PTTL', KEYS[3]) < tonumber(ARGV[8]) then", "if there == 1 then"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join that is refused stays in the queue",
		edit:   edit{"scripts/acquire.lua", "          call('ZREM', KEYS[3], hold)\n", ""},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join believes the client's word of its subscription",
		edit:   edit{"scripts/acquire.lua", "not subscribers.err and tonumber(subscribers[2]) > 0 and '1' or '0'", "'1'"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join takes a check-in",
		edit:   edit{"scripts/acquire.lua", "score, hold) == 1 then", "score, hold) ~= '' then"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short join prints its arrival with %d on 32 bits",
		edit:   edit{"scripts/acquire.lua", "#score > 11 and", ""},
		killer: redisengine("TestShortWays/a server of 32 bits"),
	},
	{
		name:   "a short release does not count the holds",
		edit:   edit{"scripts/release.lua", "first.err then\n  -- The only hold, and nobody waits, or one who hears of it. Every lock has an owner\n  -- and since, so of four fields one is a hold.\n  local seen, waiter = pcall('HMGET', KEYS[1], 'token', ARGV[1]), first[1]\n  if not seen.err and seen[2] and seen[1] == ARGV[2] and call('HLEN', KEYS[1]) == 4", "first.err then\n  local seen, waiter = pcall('HMGET', KEYS[1], 'token', ARGV[1]), first[1]\n  if not seen.err and seen[2] and seen[1] == ARGV[2]"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release forgets the tombstone",
		edit:   edit{"scripts/release.lua", "local first = not ARGV[5] and KEYS[2]", "local first = KEYS[2]"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release grants on a node of a quorum",
		edit:   edit{"scripts/release.lua", "      and ARGV[4] ~= '0' and #token > 11 then\n      local", "      and #token > 11 then\n      local"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release grants who fell silent",
		edit:   edit{"scripts/release.lua", " and checked_in + life > now", ""},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release does not look at the fence",
		edit:   edit{"scripts/release.lua", "pcall('GET', KEYS[2]) == ARGV[2] and (ahead", "(ahead"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release grants who does not hear of it",
		edit:   edit{"scripts/release.lua", "if not subscribers or subscribers.err or tonumber(subscribers[2]) > 0 then", "if true then"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short grant by message lives as long as any",
		edit:   edit{"scripts/release.lua", "if life - ttl < 0 then", "if false then"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release passes a hold on that has ended",
		edit:   edit{"scripts/release.lua", "if stop and stop > now and checked_in", "if checked_in"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release gives the next no token above the floor",
		edit:   edit{"scripts/release.lua", "      and (ahead < 0 or ahead > 3600000000) and ARGV[4] ~= '0'", "      and ARGV[4] ~= '0'"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release to a next forgets the minimum",
		edit:   edit{"scripts/release.lua", " and not ARGV[13] and KEYS[2]", " and KEYS[2]"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short release to a next passes those who wait",
		edit:   edit{"scripts/release.lua", "call('EXISTS', KEYS[3], KEYS[5]) == 0 then\n  -- The only hold, nobody waits, none", "true then\n  -- The only hold, nobody waits, none"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short vote accepts what another hold was given",
		edit:   edit{"scripts/vote.lua", "and proposed > (fence or now_us)", "and proposed >= (fence or now_us)"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short vote accepts any token ahead of the clock",
		edit:   edit{"scripts/vote.lua", " and proposed <= now_us + 3600000000\n", "\n"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short vote passes those who wait",
		edit:   edit{"scripts/vote.lua", "KEYS[1], KEYS[3], KEYS[5]) == 0", "KEYS[1], KEYS[5]) == 0"},
		killer: redisengine("TestShortWays/embedded"),
	},
	{
		name:   "a short vote's record ends before the clock has passed it",
		edit:   edit{"scripts/vote.lua", "ARGV[3] + ahead_ms", "ARGV[3]"},
		killer: redisengine("TestShortWays/embedded"),
	},
}
