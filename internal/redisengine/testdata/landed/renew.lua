-- renew.lua as processes run it that know of no minimum, without its comments.
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
local lock, err = read_lock()
if not lock then
  return err
end
local hold, token, ttl_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local stop = lock.holds[hold]
if not stop or token ~= 0 and token ~= lock.token then
  return { 0 }
end
stop = math.max(stop, now + ttl_ms)
redis.call('PEXPIRE', KEYS[1], int(math.max(stop, lock.last) - now))
if redis.call('HSET', KEYS[1], 'hold:' .. hold, int(stop)) > 0 then
  stepped_back()
  return { 0 }
end
lock.holds[hold] = stop
return granted(lock, hold)
