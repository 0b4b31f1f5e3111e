-- inspect.lua: who holds a lock, and who waits for it, in order. Writes nothing.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
-- ARGV: 1 how many waiters to tell of at most
-- Reply: {1 held | 0 free, waiters, token, owner, count, left_ms, held_ms,
--         waiters told of, hold id, waited_ms, silent_ms, life_ms, owner, hold id, ...}
-- A waiter without an entry, or whose life is over, is passed over when its turn comes.

-- include: base.lua
-- include: state.lua
-- include: entry.lua
local lock, err = read_lock()
if not lock then
  return err
end
local reply = { 0, redis.call('ZCARD', KEYS[3]), 0, '', 0, 0, 0 }
if not lock.free then
  reply = {
    1, reply[2], lock.token, lock.owner, lock.count, lock.last - now, now - (lock.since or now),
  }
end
local queue = redis.call('ZRANGE', KEYS[3], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
reply[8] = #queue / 2
for i = 1, #queue, 2 do
  local w = read_entry(redis.call('HGET', KEYS[4], queue[i]))
  reply[#reply + 1] = queue[i]
  reply[#reply + 1] = math.floor((now_us - queue[i + 1]) / 1000)
  reply[#reply + 1] = w and now - w.seen or 0
  reply[#reply + 1] = w and w.life_ms or 0
  reply[#reply + 1] = w and w.owner or ''
end
return reply
