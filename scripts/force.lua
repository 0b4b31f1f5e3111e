-- force.lua: free a lock whatever its holds, if it still carries the token that was read, and pass it on.
-- KEYS: 1 lock  2 fence  3 queue  4 waiters  5 tombstones
-- ARGV: 1 token  2 token floor  3 fence retention_ms
-- Reply: {1} freed | {0} free already, or held under another token
-- Invariant: a copy of this request evicts nobody else.

-- include: base.lua
-- include: state.lua
-- include: queue.lua
local lock, err = read_lock()
if not lock then
  return err
end
if lock.free or lock.token ~= tonumber(ARGV[1]) then
  return { 0 }
end
redis.call('DEL', KEYS[1])
lock.exists, lock.free, lock.holds = false, true, {}
pass_on(lock, '', math.max(lock.token, believed(ARGV[2])), ARGV[3])
return { 1 }
