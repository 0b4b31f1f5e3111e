-- release.lua as processes run it that know of no minimum, without its comments.
if ARGV[6] == '' and ARGV[3] == '0' and #KEYS > 1 and redis.call('EXISTS', KEYS[3]) == 0 then
  local seen = redis.pcall('HMGET', KEYS[1], 'token', 'hold:' .. ARGV[1])
  if not seen.err and seen[2] and (seen[1] == ARGV[2] or ARGV[2] == '0')
    and redis.call('HLEN', KEYS[1]) == 4 then
    redis.call('DEL', KEYS[1])
    return { 1, 0, 0 }
  end
end
local MAX_TOKEN = 9007199254740991 -- 2^53 - 1: a Lua number is exact up to here
local HOUR_US = 3600000000
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)
local function int(n)
  return string.format('%.0f', n)
end
local function failed(reply)
  return type(reply) == 'table' and reply.err ~= nil
end
local function believed(mark)
  local n = tonumber(mark)
  return n <= now_us + HOUR_US and n or 0
end
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
local function stepped_back()
  redis.call('DEL', KEYS[1])
  return { 4 }
end
local function hold_anew(owner, hold, token, ttl_ms)
  redis.call('HSET', KEYS[1], 'owner:' .. owner, 1, 'hold:' .. hold, int(now + ttl_ms),
    'token', int(token), 'since', int(now))
  redis.call('PEXPIRE', KEYS[1], ttl_ms)
end
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
local function hold_free(lock, owner, hold, token, ttl_ms)
  if lock.exists then
    redis.call('DEL', KEYS[1])
  end
  hold_anew(owner, hold, token, ttl_ms)
  lock.exists, lock.free = true, false
  lock.owner, lock.token, lock.since = owner, token, now
  lock.holds, lock.ended, lock.count, lock.last = { [hold] = now + ttl_ms }, {}, 1, now + ttl_ms
end
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
local PASSES = 100 -- entries without a subscriber that one grant looks past
local function leave_queue(hold)
  redis.pcall('HDEL', KEYS[4], hold) -- a key that is not ours must not stop a release
  return redis.call('ZREM', KEYS[3], hold)
end
local function in_grave(hold)
  return redis.call('ZSCORE', KEYS[5], hold) ~= false
end
local function join(w)
  local added = redis.pcall('ZADD', KEYS[3], 'NX', int(now_us - w.waited_us), w.hold)
  if failed(added) then
    return added
  end
  local set = redis.pcall('HSET', KEYS[4], w.hold, int(now) .. ' ' .. int(w.life_ms) .. ' ' .. int(w.ttl_ms)
    .. ' ' .. w.alone .. ' ' .. w.channel .. ' ' .. w.owner)
  if failed(set) then
    redis.call('ZREM', KEYS[3], w.hold)
    return set
  end
  if redis.call('PTTL', KEYS[3]) < w.life_ms then
    redis.call('PEXPIRE', KEYS[3], w.life_ms)
    redis.call('PEXPIRE', KEYS[4], w.life_ms)
  end
end
local function first_waiter(place)
  while true do
    local hold = redis.call('ZRANGE', KEYS[3], place, place)[1]
    if not hold then
      return nil
    end
    local entry = redis.pcall('HGET', KEYS[4], hold)
    if failed(entry) then
      return nil
    end
    local seen, life, ttl, alone, channel, owner =
      string.match(entry or '', '^(%d+) (%d+) (%d+) (%d) (%S+) (.*)$')
    if seen and seen + life > now then
      return hold, {
        life_ms = tonumber(life), ttl_ms = tonumber(ttl), alone = alone, channel = channel, owner = owner,
      }
    end
    leave_queue(hold)
  end
end
local function listens(channel)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', channel)
  return failed(reply) or tonumber(reply[2]) > 0
end
local function pass_on(lock, self, floor, retention_ms)
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
      heard = w.alone ~= '1' or listens(w.channel)
    end
    if heard then
      if hold ~= self then
        redis.pcall('PUBLISH', w.channel, hold .. ' ' .. int(token) .. ' ' .. int(ttl_ms) .. ' ' .. KEYS[1])
      end
      leave_queue(hold)
      hold_free(lock, w.owner, hold, token, ttl_ms)
      return nil
    end
    place = place + 1
  end
end
local hold, token, bury_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local floor, retention_ms = believed(ARGV[4]), ARGV[5]
local lock, err = read_lock()
if not lock then
  return err
end
local mine = lock.token and (token == 0 or token == lock.token) and lock.holds[hold] ~= nil
local status = 0
if mine then
  status = 1
  lock.holds[hold] = nil
  lock.count = lock.count - 1
  if lock.count == 0 then
    redis.call('DEL', KEYS[1])
    lock.exists, lock.free = false, true
    floor = math.max(floor, lock.token)
  else
    redis.call('HDEL', KEYS[1], 'hold:' .. hold)
    drop_ended(lock)
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
if #KEYS == 1 then
  return { status, lock.count, 0 }
end
if not mine and leave_queue(hold) == 1 then
  status = 2
end
if bury_ms > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', int(now))
  redis.call('ZADD', KEYS[5], int(now + bury_ms), hold)
  redis.call('PEXPIRE', KEYS[5], bury_ms)
end
if status == 0 then
  return { 0, lock.count, 0 }
end
local next = ARGV[6]
if next ~= '' and not lock.holds[next] and not in_grave(next) then
  local w = {
    hold = next, owner = ARGV[7], ttl_ms = tonumber(ARGV[8]), channel = ARGV[9],
    waited_us = tonumber(ARGV[10]), life_ms = tonumber(ARGV[11]), alone = ARGV[12],
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
if next == '' or lock.free then
  return { status, lock.count, 0 }
end
if lock.holds[next] then
  return { status, 0, unpack(granted(lock, next)) }
end
local place = redis.call('ZRANK', KEYS[3], next)
if not place then
  return { status, lock.count, 0 }
end
return { status, lock.count, unpack(taken(2, lock, place)) }
