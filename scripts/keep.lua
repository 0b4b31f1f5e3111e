-- keep.lua: the minimum of a hold that is given back before it is over. After queue.lua.
--
-- The hold is renamed: hold:<id> goes, and hold:<id>/kept stands for the rest of
-- the minimum, with the owner's last hold under the owner !kept. So nothing late
-- about <id> (a renewal, an acquire, a withdrawal) prolongs or frees it, and a
-- process that knows of no minimum takes it for a hold that nobody renews.

-- minimum_of returns the end of the minimum of a hold that is given back, or 0.
-- It counts from when the lock was taken. Only what was a lease has one: that of
-- another token is a late copy's, and nobody's.
local function minimum_of(lock, keep_ms, lease)
  if keep_ms == 0 or lock.token ~= lease then
    return 0
  end
  return (lock.since or now) + keep_ms
end

-- keep_inner leaves hold's minimum beside the other holds of its owner.
local function keep_inner(lock, hold, stop)
  redis.call('HSET', KEYS[1], 'hold:' .. hold .. '/kept', int(stop))
  lock.holds[hold .. '/kept'] = stop
end

-- keep_last makes of a lock whose key is gone one that is kept until stop.
local function keep_last(lock, hold, stop)
  local since = lock.since or now
  redis.call('HSET', KEYS[1], 'owner:' .. KEPT, 1, 'hold:' .. hold .. '/kept', int(stop),
    'token', int(lock.token), 'since', int(since))
  redis.call('PEXPIRE', KEYS[1], int(stop - now))
  lock.exists, lock.free = true, false
  lock.owner, lock.since = KEPT, since
  lock.holds, lock.ended, lock.count, lock.last = { [hold .. '/kept'] = stop }, {}, 1, stop
end

-- nudge tells the first two who wait, but for self, when the lock will be free:
-- they believe in the end of a hold that is gone, and nobody may be there to
-- announce this one. "kept" stands where a grant has its token, so that no process
-- takes this message for one.
local function nudge(lock, self)
  for place = 0, 1 do
    local hold, w = first_waiter(place)
    if hold and hold ~= self then
      redis.pcall('PUBLISH', w.channel, hold .. ' kept ' .. int(lock.last - now) .. ' ' .. KEYS[1])
    end
  end
end
