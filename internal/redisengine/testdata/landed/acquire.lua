-- acquire.lua as processes run it that know of no minimum, without its comments.
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
local hold, owner, ttl_ms, channel = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local floor, retention_ms = believed(ARGV[7]), ARGV[8]
if redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[5]) == 0 then
  local token, refused = mint(floor, retention_ms)
  if not token then
    return refused
  end
  hold_anew(owner, hold, token, ttl_ms)
  return { 1, token, 1, ttl_ms }
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
local me = {
  hold = hold, owner = owner, ttl_ms = ttl_ms, channel = channel,
  waited_us = tonumber(ARGV[5]), life_ms = tonumber(ARGV[6]), alone = ARGV[9],
}
local others = redis.call('EXISTS', KEYS[3], KEYS[5]) > 0
if others and in_grave(hold) then
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
if channel ~= '' then
  if others and redis.call('ZSCORE', KEYS[3], hold) then
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
