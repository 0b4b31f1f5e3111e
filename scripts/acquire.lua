-- acquire.lua: grant, re-enter, check in, or join the queue.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
-- ARGV: 1 hold id  2 owner  3 ttl_ms  4 channel ('' = do not wait)  5 waited_us  6 life_ms
--       7 token floor  8 fence retention_ms  9 subscribed (1: to channel, as its client knows; else 0)
-- Reply: {1, token, count, left_ms}                            granted
--        {2, token, owner, left_ms, held_ms, place}            waiting behind that holder
--        {3, token, owner, left_ms, held_ms, waiters}          taken, and not waiting
--        {4}                                                   the hold was withdrawn
-- Invariant: the same hold id again never counts twice. As holder it renews its
-- TTL (a repeated answer must not promise more than the server grants); as
-- waiter it is the check-in and keeps its place.

-- include: base.lua
local hold, owner, ttl_ms, channel = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local floor, retention_ms = believed(ARGV[7]), ARGV[8]

-- Free, and nobody waits or was withdrawn: most calls need to know no more.
if redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[5]) == 0 then
  local token, refused = mint(floor, retention_ms)
  if not token then
    return refused
  end
  hold_anew(owner, hold, token, ttl_ms)
  return { 1, token, 1, ttl_ms }
end

-- include: state.lua
-- include: queue.lua
local me = {
  hold = hold, owner = owner, ttl_ms = ttl_ms, channel = channel,
  waited_us = tonumber(ARGV[5]), life_ms = tonumber(ARGV[6]), subscribed = ARGV[9],
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
if channel ~= '' then
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
if channel ~= '' then
  return taken(2, lock, redis.call('ZRANK', KEYS[3], hold))
end
return taken(3, lock, redis.call('ZCARD', KEYS[3]))
