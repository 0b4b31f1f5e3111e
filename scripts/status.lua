-- status.lua: who holds a lock, and how many wait. Writes nothing.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
-- Reply: {0, waiters} free | {1, waiters, token, owner, count, left_ms, held_ms}

-- include: base.lua
-- include: state.lua
local lock, err = read_lock()
if not lock then
  return err
end
local waiters = redis.call('ZCARD', KEYS[3])
if lock.free then
  return { 0, waiters }
end
return { 1, waiters, lock.token, lock.owner, lock.count, lock.last - now, now - (lock.since or now) }
