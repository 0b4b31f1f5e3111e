-- release.lua: give up a hold, or a place in the queue, and pass the lock on.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
--       or the lock alone: free it and do no more. That is what is left where the keys of a
--       slot are being moved; the waiters then find the free lock at their check-ins.
-- ARGV: 1 'hold:'<id>  2 token (0: whichever it was granted, if any: a withdrawal; -1: none, leave the hold to its end)
--       3 token floor  4 fence retention_ms
--       and no more, or  5 tombstone_ms (> 0: an acquire of this hold may be under way; refuse it for so long)
--       6 the next 'hold:'<id> ('' = none)  7 its 'owner:'<owner>  8 ttl_ms  9 channel  10 waited_us  11 life_ms  12 subscribed
--       then, of a lease with a minimum, at 13, and at 7 where there is no next:
--       keep_ms (since the grant)  the lease's token
-- Reply: 1                             released, and the owner has no other hold
--        a token (> 1)                 released, and granted anew to next: one hold, ttl_ms left
--        {0 gone | 1 released | 2 left the queue, holds left of the owner, answer for next as of acquire ...}
--        {3 released and kept, ms left of the minimum, answer for next ...}, also to a copy of that request
-- Invariants: the deletion comes first, so that full memory cannot refuse it (a
-- script that has written may go on writing). Where the hold is gone already
-- next is neither joined nor granted: this may be a late copy, and next may have
-- had the lock and returned it since. A request with a minimum that finds the lock
-- free passes it on: sent again at the end of the minimum, it announces that.

-- The short way, as in acquire.lua. It asks no clock where nobody waits: a hold that
-- has ended, and whose key is there all the same, is released and not gone.
-- short {
local call, pcall, format = redis.call, redis.pcall, string.format
local first = not ARGV[5] and KEYS[2] and pcall('ZRANGE', KEYS[3], '0', '0')
if first and not first.err then
  -- The only hold, and nobody waits, or one who hears of it. Every lock has an owner
  -- and since, so of four fields one is a hold.
  local seen, waiter = pcall('HMGET', KEYS[1], 'token', ARGV[1]), first[1]
  if not seen.err and seen[2] and seen[1] == ARGV[2] and call('HLEN', KEYS[1]) == 4 then
    if not waiter then
      call('DEL', KEYS[1])
      return 1
    end
    local entry = pcall('HGET', KEYS[4], waiter)
    local checked_in, life, ttl, here, channel, owner =
      string.match(type(entry) == 'string' and entry or '', '^(%d+) (%d+) (%d+) (%d) (%S+) (.*)$')
    local clock = call('TIME')
    local now_us = clock[1] * 1000000 + clock[2]
    local now, token, stop, ahead = math.floor(now_us / 1000), format('%d', now_us), tonumber(seen[2]), ARGV[3] - now_us
    if stop and stop > now and checked_in and checked_in + life > now
      -- The clock is above all tokens; a node of a quorum mints none.
      and ARGV[2] - now_us < 0 and pcall('GET', KEYS[2]) == ARGV[2] and (ahead < 0 or ahead > 3600000000)
      and ARGV[4] ~= '0' and #token > 11 then
      local subscribers = here ~= '0' and pcall('PUBSUB', 'NUMSUB', channel)
      if not subscribers or subscribers.err or tonumber(subscribers[2]) > 0 then
        if life - ttl < 0 then
          ttl = life
        end
        call('DEL', KEYS[1])
        call('SET', KEYS[2], token, 'PX', ARGV[4])
        pcall('PUBLISH', channel, waiter .. ' ' .. token .. ' ' .. ttl .. ' ' .. KEYS[1])
        pcall('HDEL', KEYS[4], waiter)
        call('ZREM', KEYS[3], waiter)
        call('HSET', KEYS[1], 'owner:' .. owner, '1', 'hold:' .. waiter, format('%d', now + ttl), 'token', token, 'since', format('%d', now))
        call('PEXPIRE', KEYS[1], ttl)
        return 1
      end
    end
  end
elseif ARGV[5] == '0' and ARGV[6] ~= '' and not ARGV[13] and KEYS[2] and call('EXISTS', KEYS[3], KEYS[5]) == 0 then
  -- The only hold, nobody waits, none was withdrawn, and there is a next.
  local seen = pcall('HMGET', KEYS[1], 'token', ARGV[1])
  if not seen.err and seen[2] and seen[1] == ARGV[2] and call('HLEN', KEYS[1]) == 4 then
    local clock = call('TIME')
    local now_us = clock[1] * 1000000 + clock[2]
    local now, token, stop, ahead = math.floor(now_us / 1000), format('%d', now_us), tonumber(seen[2]), ARGV[3] - now_us
    if stop and stop > now and ARGV[2] - now_us < 0 and pcall('GET', KEYS[2]) == ARGV[2]
      and (ahead < 0 or ahead > 3600000000) and ARGV[4] ~= '0' and #token > 11 then
      call('DEL', KEYS[1])
      call('SET', KEYS[2], token, 'PX', ARGV[4])
      call('HSET', KEYS[1], ARGV[7], '1', ARGV[6], format('%d', now + ARGV[8]), 'token', token, 'since', format('%d', now))
      call('PEXPIRE', KEYS[1], ARGV[8])
      return now_us
    end
  end
end
-- short }

-- include: base.lua
-- include: state.lua
-- include: queue.lua
-- include: keep.lua
local hold, token, tombstone_ms = string.sub(ARGV[1], 6), tonumber(ARGV[2]), tonumber(ARGV[5] or 0)
local floor, retention_ms = believed(ARGV[3]), ARGV[4]
local next = ARGV[6] and string.sub(ARGV[6], 6) or ''
local at = next == '' and 7 or 13
local keep_ms, lease = tonumber(ARGV[at] or 0), tonumber(ARGV[at + 1] or 0)

local lock, err = read_lock()
if not lock then
  return err
end

local copy = lock.owner == KEPT and lock.holds[hold .. '/kept'] ~= nil
local mine = lock.token and (token == 0 or token == lock.token) and lock.holds[hold] ~= nil
local status = copy and 3 or 0
if mine then
  status = 1
  lock.holds[hold] = nil
  lock.count = lock.count - 1
  local minimum = minimum_of(lock, keep_ms, lease)
  if lock.count == 0 then
    redis.call('DEL', KEYS[1])
    lock.exists, lock.free = false, true
    floor = math.max(floor, lock.token)
    minimum = math.max(minimum, lock.kept or 0)
    if minimum > now then
      status = 3
      keep_last(lock, hold, minimum)
    end
  else
    redis.call('HDEL', KEYS[1], 'hold:' .. hold)
    drop_ended(lock)
    if minimum > now then
      keep_inner(lock, hold, minimum)
    end
    redis.call('HSET', KEYS[1], 'owner:' .. lock.owner, lock.count)
    lock.last = 0
    for _, stop in pairs(lock.holds) do
      lock.last = math.max(lock.last, stop)
    end
    redis.call('PEXPIRE', KEYS[1], int(lock.last - now))
  end
elseif lock.exists and lock.free then
  redis.call('DEL', KEYS[1]) -- every hold has ended, but somebody took the key's TTL away
end
local function rest()
  return status == 3 and lock.last - now or lock.count
end
if #KEYS == 1 then
  return { status, rest(), 0 }
end
if not mine and leave_queue(hold) == 1 and not copy then
  status = 2
end
if tombstone_ms > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', int(now))
  redis.call('ZADD', KEYS[5], int(now + tombstone_ms), hold)
  redis.call('PEXPIRE', KEYS[5], tombstone_ms)
end
if status == 0 or copy then
  local reply = { status, rest(), 0 }
  if lock.free and keep_ms > 0 then
    pass_on(lock, '', floor, retention_ms)
  end
  return reply
end

if next ~= '' and not lock.holds[next] and not has_tombstone(next) then
  local w = {
    hold = next, owner = string.sub(ARGV[7], 7), ttl_ms = tonumber(ARGV[8]), channel = ARGV[9],
    waited_us = tonumber(ARGV[10]), life_ms = tonumber(ARGV[11]), subscribed = ARGV[12],
  }
  if lock.free and redis.call('EXISTS', KEYS[3]) == 0 then
    local fresh = mint(floor, retention_ms)
    if fresh then
      hold_free(lock, w.owner, next, fresh, w.ttl_ms)
    end
  else
    join(w)
  end
end
if lock.free then
  pass_on(lock, next, floor, retention_ms)
end
if status == 3 then
  nudge(lock, next)
end
if next == '' or lock.free then
  return { status, rest(), 0 }
end
if lock.holds[next] then
  return { status, 0, unpack(granted(lock, next)) }
end
local place = redis.call('ZRANK', KEYS[3], next)
if not place then
  return { status, rest(), 0 }
end
return { status, rest(), unpack(taken(2, lock, place)) }
