-- renew.lua: give a hold its TTL again.
-- KEYS: 1 lock
-- ARGV: 1 hold id  2 token (0: whichever it has)  3 ttl_ms
-- Reply: {1, token, count, left_ms}  renewed
--        {0}                         not yours: never re-created, never revived
-- Invariant: an end is never brought forward. PEXPIRE comes first: it passes when
-- memory is full, and what follows a script's first write passes too. It also
-- gives a key that was PERSISTed its TTL again.

-- include: base.lua
-- include: state.lua
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
