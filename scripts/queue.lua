-- queue.lua: who waits, and the grant to the first of them. After state.lua.

local PASSES = 100 -- entries without a subscriber that one grant looks past

-- include: entry.lua
local function leave_queue(hold)
  redis.pcall('HDEL', KEYS[4], hold) -- a key that is not ours must not stop a release
  return redis.call('ZREM', KEYS[3], hold)
end

local function has_tombstone(hold)
  return redis.call('ZSCORE', KEYS[5], hold) ~= false
end

-- is_subscribed tells whether this very server has a subscriber of channel, or
-- nil where the user may not ask.
local function is_subscribed(channel)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', channel)
  if not failed(reply) then
    return tonumber(reply[2]) > 0
  end
end

-- here_of returns whether w may be passed over until its next check-in. Its
-- client's word that it is subscribed is not enough: the subscription may be at a
-- replica, at another node, behind another connection of a proxy. This server must
-- have it, as seen by this very script. And who was passed over since its last
-- check-in, and yet is there to check in again, is not until the one after: so
-- none is passed over for ever, whatever this server says of it.
local function here_of(w, waits)
  if w.subscribed ~= '1' or not is_subscribed(w.channel) then
    return UNKNOWN
  end
  local entry = waits and read_entry(redis.pcall('HGET', KEYS[4], w.hold))
  return entry and entry.here == PASSED and UNKNOWN or HERE
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
  local set = redis.pcall('HSET', KEYS[4], w.hold, entry_of(w, now, here_of(w, added == 0)))
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
    local w = read_entry(entry)
    if w and w.seen + w.life_ms > now then
      return hold, w
    end
    leave_queue(hold)
  end
end

-- pass_over leaves hold its place, and a mark for its next check-in.
local function pass_over(hold, w)
  if w.here ~= PASSED then
    redis.call('ZREM', KEYS[3], '') -- full memory refuses no write after a script's first
    redis.pcall('HSET', KEYS[4], hold, entry_of(w, w.seen, PASSED))
  end
end

-- pass_on grants a free lock to the first live waiter. self hears it by this
-- script's reply and gets its whole TTL; another hears it by a message, which
-- is the grant, and gets no more than its entry's life until it renews: a
-- waiter that died unnoticed must not cost a whole TTL. An entry whose subscriber
-- was at this server, and is not now, is passed over, but keeps its place: its
-- client has died, or is reconnecting. It is sent no message: that would reach
-- the server's replicas too, and a client whose subscription is at one by now
-- would take it for its grant.
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
    local mine = hold == self
    if mine or w.here == UNKNOWN or is_subscribed(w.channel) ~= false then
      local ttl_ms = mine and w.ttl_ms or math.min(w.ttl_ms, w.life_ms)
      if not mine then
        redis.pcall('PUBLISH', w.channel, hold .. ' ' .. int(token) .. ' ' .. int(ttl_ms) .. ' ' .. KEYS[1])
      end
      leave_queue(hold)
      hold_free(lock, w.owner, hold, token, ttl_ms)
      return nil
    end
    pass_over(hold, w)
    place = place + 1
  end
end
