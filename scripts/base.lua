-- base.lua: what the operations on one lock share: the clock, tokens, and the grant of a free lock.
-- Another file takes it in by "-- include: base.lua", a line that scripts.go puts the file in place of.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
--
-- lock        hash    owner:<owner> -> hold count, hold:<id> -> its end (server ms), token, since (server ms); hold:<id>/kept ->
--                     the end of the minimum of a hold that was given back before (keep.lua); of a quorum's
--                     node also issued: 1 once a quorum is known to have accepted the token
-- fence       string  the last token, minted or accepted
-- queue       zset    hold id -> arrival (server us)
-- waiters     hash    hold id -> "<last check-in ms> <life ms> <ttl ms> <here> <channel> <owner>"
-- tombstones  zset    hold id -> end of the refusal (server ms)
--
-- Errors are returned, never raised: a raised error is decorated by some servers and garbled by others.

local MAX_TOKEN = 9007199254740991 -- 2^53 - 1: a Lua number is exact up to here
local HOUR_US = 3600000000

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

-- tostring prints 14 digits; a token has 16.
local function int(n)
  return string.format('%.0f', n)
end

local function failed(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- believed returns a client's high-water mark, but 0 for one that is more than
-- an hour ahead of the clock.
local function believed(mark)
  local n = tonumber(mark)
  return n <= now_us + HOUR_US and n or 0
end

-- mint writes the next token to the fence and returns it, or nil and the error.
-- It is above the fence, above floor (tokens seen elsewhere) and not below the
-- clock. A node of a quorum (retention 0) mints none: its tokens are proposed to
-- it (vote.lua), and a hold has none until then.
local function mint(floor, retention_ms)
  if retention_ms == '0' then
    return 0
  end
  local last = redis.pcall('GET', KEYS[2])
  if failed(last) then
    return nil, last
  end
  local n = 0
  if last then
    if not string.find(last, '^%d+$') then -- tonumber would read nan, hexadecimals and fractions
      return nil, redis.error_reply('WRONGTYPE the fence is not a number')
    end
    n = tonumber(last)
  end
  local token = math.max(n + 1, floor + 1, now_us)
  if token > MAX_TOKEN then
    return nil, redis.error_reply('RELOCK the fence has no tokens left below 2^53')
  end
  local set = redis.pcall('SET', KEYS[2], int(token), 'PX', retention_ms)
  if failed(set) then
    return nil, set
  end
  return token
end

-- stepped_back is called where a write finds the lock's key gone that was there
-- before: the clock stepped back within this script, older servers take what
-- PEXPIRE wrote since for the past, and the write made a key without an end. It
-- returns the reply of a hold that was withdrawn.
local function stepped_back()
  redis.call('DEL', KEYS[1])
  return { 4 }
end

-- hold_anew writes the only hold of a lock whose key is gone.
local function hold_anew(owner, hold, token, ttl_ms)
  redis.call('HSET', KEYS[1], 'owner:' .. owner, 1, 'hold:' .. hold, int(now + ttl_ms),
    'token', int(token), 'since', int(now))
  redis.call('PEXPIRE', KEYS[1], ttl_ms)
end
