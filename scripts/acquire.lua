-- acquire.lua: grant, re-enter, check in, or join the queue.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
-- ARGV: 1 'hold:'<id>  2 'owner:'<owner>  3 ttl_ms  4 token floor  5 fence retention_ms
--       of one that waits also  6 channel  7 waited_us  8 life_ms  9 subscribed (1: to channel, as its client knows; else 0)
-- Reply: token                                                 granted anew: one hold, ttl_ms left
--        {1, token, count, left_ms}                            granted
--        {2, token, owner, left_ms, held_ms, place}            waiting behind that holder
--        {3, token, owner, left_ms, held_ms, waiters}          taken, and not waiting
--        {4}                                                   the hold was withdrawn
-- Invariant: the same hold id again never counts twice. As holder it renews its
-- TTL (a repeated answer must not promise more than the server grants); as
-- waiter it is the check-in and keeps its place.

-- What most calls find has a short way: straight-line code, since a closure, a table
-- or a format costs as much as a command. It does what the long way would, or finds
-- something unusual while it has not written, and leaves the rest to that.
-- short {
local call, pcall, format, sub = redis.call, redis.pcall, string.format, string.sub
local there = call('EXISTS', KEYS[1], KEYS[3], KEYS[5], KEYS[5]) -- tombstones count two
if there == 0 and ARGV[5] ~= '0' then
  -- Free, nobody waits, none was withdrawn, and the clock is above all tokens.
  local clock = call('TIME')
  local now_us = clock[1] * 1000000 + clock[2]
  local token, last, ahead = format('%d', now_us), pcall('GET', KEYS[2]), ARGV[4] - now_us -- of the floor
  local fence = last and tonumber(last)
  if (ahead < 0 or ahead > 3600000000)
    and (fence and fence >= 0 and fence < now_us and format('%d', fence) == last or not last)
    and #token > 11 -- else %d has 32 bits, and is not exact
    and not pcall('SET', KEYS[2], token, 'PX', ARGV[5]).err then
    local now = math.floor(now_us / 1000)
    call('HSET', KEYS[1], ARGV[2], '1', ARGV[1], format('%d', now + ARGV[3]), 'token', token, 'since', format('%d', now))
    call('PEXPIRE', KEYS[1], ARGV[3])
    return now_us
  end
elseif there == 1 or there == 2 then
  -- Held once, by another, and none was withdrawn: join the queue, or be told.
  local flat = pcall('HGETALL', KEYS[1])
  local owner, stop, token, since
  for i = 1, #flat == 8 and 7 or 0, 2 do
    local field, value = flat[i], flat[i + 1]
    if field == 'token' then
      token = tonumber(value)
    elseif field == 'since' then
      since = tonumber(value)
    elseif sub(field, 1, 6) == 'owner:' then
      owner = field
    elseif sub(field, 1, 5) == 'hold:' and sub(field, -5) ~= '/kept' then
      stop = tonumber(value)
    end
  end
  if owner and owner ~= ARGV[2] and stop and token and since then
    local clock = call('TIME')
    local now_us = clock[1] * 1000000 + clock[2]
    local now = math.floor(now_us / 1000)
    if stop > now and not ARGV[6] then
      return { 3, token, sub(owner, 7), stop - now, now - since, there == 2 and call('ZCARD', KEYS[3]) or 0 }
    elseif stop > now then
      local hold, score = sub(ARGV[1], 6), format('%d', now_us - ARGV[7])
      if #score > 11 and pcall('ZADD', KEYS[3], 'NX', score, hold) == 1 then
        local here = '0'
        if ARGV[9] == '1' then
          local subscribers = pcall('PUBSUB', 'NUMSUB', ARGV[6])
          here = not subscribers.err and tonumber(subscribers[2]) > 0 and '1' or '0'
        end
        local set = pcall('HSET', KEYS[4], hold, format('%d', now) .. ' ' .. ARGV[8] .. ' ' .. ARGV[3] .. ' ' .. here
          .. ' ' .. ARGV[6] .. ' ' .. sub(ARGV[2], 7))
        if set ~= 1 and set ~= 0 then
          call('ZREM', KEYS[3], hold)
          return set
        end
        if there == 1 or call('PTTL', KEYS[3]) < tonumber(ARGV[8]) then
          call('PEXPIRE', KEYS[3], ARGV[8])
          call('PEXPIRE', KEYS[4], ARGV[8])
        end
        return { 2, token, sub(owner, 7), stop - now, now - since, there == 2 and call('ZRANK', KEYS[3], hold) or 0 }
      end
    end
  end
end
-- short }

-- include: base.lua
local hold, owner, ttl_ms = string.sub(ARGV[1], 6), string.sub(ARGV[2], 7), tonumber(ARGV[3])
local floor, retention_ms, channel = believed(ARGV[4]), ARGV[5], ARGV[6]

-- include: state.lua
-- include: queue.lua
local me = {
  hold = hold, owner = owner, ttl_ms = ttl_ms, channel = channel,
  waited_us = tonumber(ARGV[7]), life_ms = tonumber(ARGV[8]), subscribed = ARGV[9],
}
local others = redis.call('EXISTS', KEYS[3], KEYS[5]) > 0
if others and has_tombstone(hold) then
  return { 4 }
end

local lock, err = read_lock()
if not lock then
  return err
end

if not lock.free and lock.owner == owner then
  local stop = math.max(lock.holds[hold] or 0, now + ttl_ms)
  local left_ms = int(math.max(stop, lock.last) - now)
  if lock.holds[hold] then
    -- A repeat passes when memory is full, as a renewal does.
    redis.call('PEXPIRE', KEYS[1], left_ms)
  else
    lock.count = lock.count + 1
  end
  local set = redis.pcall('HSET', KEYS[1], 'hold:' .. hold, int(stop), 'owner:' .. owner, lock.count)
  if failed(set) then
    return set
  elseif set > 1 then
    return stepped_back()
  end
  lock.holds[hold] = stop
  redis.call('PEXPIRE', KEYS[1], left_ms)
  drop_ended(lock, hold)
  if others then
    leave_queue(hold)
  end
  return granted(lock, hold)
end

if lock.free and not others then
  local token, refused = mint(floor, retention_ms)
  if not token then
    return refused
  end
  hold_free(lock, owner, hold, token, ttl_ms)
  return granted(lock, hold)
end

-- From here on others wait, or we must.
if channel then
  if others and redis.call('ZSCORE', KEYS[3], hold) then
    -- A check-in passes when memory is full: what follows a script's first
    -- write does, though that one changes nothing.
    redis.call('ZREM', KEYS[3], '')
  end
  local refused = join(me)
  if refused then
    return refused
  end
end
if lock.free then
  local refused = pass_on(lock, hold, floor, retention_ms)
  if refused then
    return refused
  end
end
if lock.holds[hold] then
  return granted(lock, hold)
end
if lock.free then -- nobody who waits could be reached
  local token, refused = mint(floor, retention_ms)
  if not token then
    return refused
  end
  leave_queue(hold)
  hold_free(lock, owner, hold, token, ttl_ms)
  return granted(lock, hold)
end
if channel then
  return taken(2, lock, redis.call('ZRANK', KEYS[3], hold))
end
return taken(3, lock, redis.call('ZCARD', KEYS[3]))
