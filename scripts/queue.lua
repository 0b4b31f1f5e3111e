-- queue.lua: who waits, and the grant to the first of them. After state.lua.

local PASSES = 100 -- entries without a subscriber that one grant looks past

local function leave_queue(hold)
  redis.pcall('HDEL', KEYS[4], hold) -- a key that is not ours must not stop a release
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

-- first_waiter returns the id and the entry of the live waiter at place, and
-- drops those before it that have not checked in for their life.
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

-- listens tells whether this server has a subscriber of channel, or may not say.
local function listens(channel)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', channel)
  return failed(reply) or tonumber(reply[2]) > 0
end

-- pass_on grants a free lock to the first live waiter. self hears it by this
-- script's reply and gets its whole TTL; another hears it by a message, which
-- is the grant, and gets no more than its entry's life until it renews: a
-- waiter that died unnoticed must not cost a whole TTL. Where its client knows
-- that the server is no cluster's (alone), an entry whose channel nobody listens
-- to is passed over, but keeps its place: the client may be reconnecting. It is
-- sent no message: that would reach the server's replicas too, and a client whose
-- subscription is at one would take it for its grant.
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
