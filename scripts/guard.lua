-- guard.lua: refuse a holder once a later one has been at a resource. The write
-- itself stands behind it, as the body of write(KEYS, ARGV), in the same script.
-- KEYS: those of the write, then the resource's fence
-- ARGV: those of the write, then token, owner, retention_ms
-- Reply: {1, what the write returns}  done
--        {0, token, owner}            refused: that holder was here, and is later
--        {0, 0, ''}                   refused: older than any fence is kept, and none is there
--        {2}                          refused: more than an hour ahead of the clock, where no lock is
-- Invariant: the fence is raised before the write, and outlives the data. Two
-- holders of one number are told apart by their owners: a failover can issue a
-- number twice. A token from the future, once remembered, would refuse every
-- holder until then.

local fence = KEYS[#KEYS]
local token, owner, retention_ms = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV]
KEYS[#KEYS] = nil
ARGV[#ARGV], ARGV[#ARGV - 1], ARGV[#ARGV - 2] = nil, nil, nil

local seen = redis.pcall('HMGET', fence, 'token', 'owner')
if seen.err then
  return seen
end
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
if tonumber(token) > now_us + 3600000000 then
  return { 2 }
end
if not seen[1] then
  if tonumber(token) < now_us - retention_ms * 1000 then
    return { 0, 0, '' }
  end
elseif tonumber(token) < tonumber(seen[1]) or tonumber(token) == tonumber(seen[1]) and owner ~= seen[2] then
  return { 0, tonumber(seen[1]), seen[2] }
end
redis.call('HSET', fence, 'token', token, 'owner', owner)
redis.call('PEXPIRE', fence, retention_ms)
