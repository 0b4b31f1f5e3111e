-- lib.lua: what the operations on one lock share. It is sent in front of each of them.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
--
-- lock        hash    owner:<owner> -> hold count, hold:<id> -> its end (server ms), token, since (server ms)
-- fence       string  the last token
-- queue       zset    hold id -> arrival (server us)
-- waiters     hash    hold id -> "<last check-in ms> <life ms> <ttl ms> <channel> <owner>"
-- tombstones  zset    hold id -> end of the refusal (server ms)
--
-- Errors are returned, never raised: a raised error is decorated by some servers and garbled by others.

local MAX_TOKEN = 9007199254740991 -- 2^53 - 1: a Lua number is exact up to here
local HOUR_US = 3600000000
local PASSES = 100 -- entries without a subscriber that one grant looks past

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

-- read_lock returns the lock, or nil and the error. Holds that have ended do
-- not count: a crashed process that shared the owner must not keep the lock.
local function read_lock()
  local flat = redis.pcall('HGETALL', KEYS[1])
  if failed(flat) then
    return nil, flat
  end
  local lock = { exists = #flat > 0, holds = {}, ended = {}, count = 0, last = 0 }
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    if field == 'token' then
      lock.token = tonumber(value)
    elseif field == 'since' then
      lock.since = tonumber(value)
    elseif string.sub(field, 1, 6) == 'owner:' then
      lock.owner = string.sub(field, 7)
    elseif string.sub(field, 1, 5) == 'hold:' then
      local stop = tonumber(value) or 0
      if stop > now then
        lock.holds[string.sub(field, 6)] = stop
        lock.count = lock.count + 1
        lock.last = math.max(lock.last, stop)
      else
        lock.ended[#lock.ended + 1] = field
      end
    end
  end
  if lock.exists and not (lock.token and lock.owner) then
    return nil, redis.error_reply('WRONGTYPE the hash is not a lock')
  end
  lock.free = lock.count == 0
  return lock
end

-- believed returns a client's high-water mark, but 0 for one that is more than
-- an hour ahead of the clock.
local function believed(mark)
  local n = tonumber(mark)
  return n <= now_us + HOUR_US and n or 0
end

-- mint writes the next token to the fence and returns it, or nil and the error.
-- It is above the fence, above floor (tokens seen elsewhere) and not below the
-- clock.
local function mint(floor, retention_ms)
  local last = redis.pcall('GET', KEYS[2])
  if failed(last) then
    return nil, last
  end
  local n = 0
  if last then
    n = tonumber(last)
    if not n then
      return nil, redis.error_reply('WRONGTYPE the fence is not a number')
    end
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

-- hold_free makes hold the only holder of a free lock. The key goes first: it
-- may hold what has ended.
local function hold_free(lock, owner, hold, token, ttl_ms)
  if lock.exists then
    redis.call('DEL', KEYS[1])
  end
  redis.call('HSET', KEYS[1], 'owner:' .. owner, 1, 'hold:' .. hold, int(now + ttl_ms),
    'token', int(token), 'since', int(now))
  redis.call('PEXPIRE', KEYS[1], ttl_ms)
  lock.exists, lock.free = true, false
  lock.owner, lock.token, lock.since = owner, token, now
  lock.holds, lock.ended, lock.count, lock.last = { [hold] = now + ttl_ms }, {}, 1, now + ttl_ms
end

-- drop_ended removes what no longer counts; the hold that is being written stays.
local function drop_ended(lock, hold)
  for _, field in ipairs(lock.ended) do
    if not hold or field ~= 'hold:' .. hold then
      redis.call('HDEL', KEYS[1], field)
    end
  end
end

local function granted(lock, hold)
  return { 1, lock.token, lock.count, lock.holds[hold] - now }
end

local function taken(state, lock, place)
  return { state, lock.token, lock.owner, lock.last - now, now - (lock.since or now), place }
end

local function leave_queue(hold)
  redis.call('HDEL', KEYS[4], hold)
  return redis.call('ZREM', KEYS[3], hold)
end

local function in_grave(hold)
  return redis.call('ZSCORE', KEYS[5], hold) ~= false
end

-- join puts w into the queue at the place of its arrival, or returns the error;
-- a check-in of one that is there already keeps its place. The keys outlive
-- their last check-in by the entry's life, and are gone by themselves when
-- every client is.
local function join(w)
  local added = redis.pcall('ZADD', KEYS[3], 'NX', int(now_us - w.waited_us), w.hold)
  if failed(added) then
    return added
  end
  redis.call('HSET', KEYS[4], w.hold, int(now) .. ' ' .. int(w.life_ms) .. ' ' .. int(w.ttl_ms)
    .. ' ' .. w.channel .. ' ' .. w.owner)
  if redis.call('PTTL', KEYS[3]) < w.life_ms then
    redis.call('PEXPIRE', KEYS[3], w.life_ms)
    redis.call('PEXPIRE', KEYS[4], w.life_ms)
  end
end

-- first_waiter returns the id and the entry of the live waiter at place, and
-- drops those before it that have not checked in for their life.
local function first_waiter(place)
  while true do
    local hold = redis.call('ZRANGE', KEYS[3], place, place)[1]
    if not hold then
      return nil
    end
    local seen, life, ttl, channel, owner =
      string.match(redis.call('HGET', KEYS[4], hold) or '', '^(%d+) (%d+) (%d+) (%S+) (.*)$')
    if seen and seen + life > now then
      return hold, { life_ms = tonumber(life), ttl_ms = tonumber(ttl), channel = channel, owner = owner }
    end
    leave_queue(hold)
  end
end

-- pass_on grants a free lock to the first live waiter. self hears it by this
-- script's reply and gets its whole TTL; another hears it by a message, which
-- is the grant, and gets no more than its entry's life until it renews: a
-- waiter that died unnoticed must not cost a whole TTL. Where the server is
-- known to be the only one (alone), a message that nobody receives passes the
-- entry over, but leaves it in its place: its client may be reconnecting.
local function pass_on(lock, self, floor, retention_ms, alone)
  local place, token, err = 0, nil, nil
  while place < PASSES do
    local hold, w = first_waiter(place)
    if not hold then
      return nil
    end
    if not token then
      token, err = mint(floor, retention_ms)
      if not token then
        return err
      end
    end
    local ttl_ms = w.ttl_ms
    local heard = true
    if hold ~= self then
      ttl_ms = math.min(ttl_ms, w.life_ms)
      local n = redis.pcall('PUBLISH', w.channel,
        hold .. ' ' .. int(token) .. ' ' .. int(ttl_ms) .. ' ' .. KEYS[1])
      heard = failed(n) or n > 0 or not alone
    end
    if heard then
      leave_queue(hold)
      hold_free(lock, w.owner, hold, token, ttl_ms)
      return nil
    end
    place = place + 1
  end
end
