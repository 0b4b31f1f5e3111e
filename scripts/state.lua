-- state.lua: the lock as it is, with all its holds, and what changes them. After base.lua.

local KEPT = '!kept' -- the owner of a lock that is only kept: no client's

-- read_lock returns the lock, or nil and the error. Holds that have ended do
-- not count: a crashed process that shared the owner must not keep the lock.
-- What a hold left for its minimum keeps the lock, but is no hold of the owner's,
-- who does not re-enter by it.
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
        lock.last = math.max(lock.last, stop)
        if string.sub(field, -5) == '/kept' then
          lock.kept = math.max(lock.kept or 0, stop)
        else
          lock.count = lock.count + 1
        end
      else
        lock.ended[#lock.ended + 1] = field
      end
    end
  end
  if lock.exists and not (lock.token and lock.owner) then
    return nil, redis.error_reply('WRONGTYPE the hash is not a lock')
  end
  if lock.count == 0 and lock.kept then
    lock.owner, lock.count = KEPT, 1
  end
  lock.free = lock.count == 0
  return lock
end

-- hold_free makes hold the only holder of a free lock. The key goes first: it
-- may hold what has ended.
local function hold_free(lock, owner, hold, token, ttl_ms)
  if lock.exists then
    redis.call('DEL', KEYS[1])
  end
  hold_anew(owner, hold, token, ttl_ms)
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
