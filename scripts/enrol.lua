-- enrol.lua: what a server remembers of the quorum it is a node of.
-- KEYS: 1 a hash: id, roster
-- ARGV: 1 id, if it has none  2 roster, if it has none ('' = unknown)
-- Reply: {id, roster}
-- Invariant: neither is ever changed, and the key does not expire.

if ARGV[2] == '' then
  redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
elseif redis.call('HGET', KEYS[1], 'id') == ARGV[1] then
  redis.call('HSETNX', KEYS[1], 'roster', ARGV[2])
end
return { redis.call('HGET', KEYS[1], 'id') or '', redis.call('HGET', KEYS[1], 'roster') or '' }
