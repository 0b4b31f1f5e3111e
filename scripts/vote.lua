-- vote.lua: acquire.lua on a node of a quorum, which accepts tokens instead of minting them.
-- KEYS: 1-5 as acquire.lua  6 what the node remembers of its quorum (none on a cluster)
-- ARGV: 1 proposed token (0 = none)  2 kind (0 fresh, 1 owned, 2 anew)  3 fence retention_ms  4 node id
--       then those of acquire.lua, with a fence retention of 0: nothing is minted
-- Reply: token                                         granted anew, as in acquire.lua, and the token accepted: it is the
--                                                      greatest one
--        {1, token, count, left_ms, accepted, issued}  granted; the token of the hold (0: none yet), the greatest
--                                                      accepted here (-clock: no record), 1 if a quorum accepted
--                                                      the token
--        else as acquire.lua
-- Invariants: the fence never falls, and is the greatest token this node has
-- accepted. A fresh token is accepted only above it, so in one order for all
-- holds. A token owned already is accepted where its owner has it, and where
-- nothing above it was accepted: no other owner can have come in between. A node
-- without a fence takes its clock for it; a record of a token above an owned one
-- that is younger than the retention would still be there.

if KEYS[6] and redis.call('HGET', KEYS[6], 'id') ~= ARGV[4] then
  return redis.error_reply('FORGOT this server has not the id it was known by')
end

-- The short way, as in acquire.lua: free, and a fresh token.
-- short {
local call, pcall, format = redis.call, redis.pcall, string.format
if ARGV[2] ~= '1' and call('EXISTS', KEYS[1], KEYS[3], KEYS[5]) == 0 then
  local clock = call('TIME')
  local now_us = clock[1] * 1000000 + clock[2]
  local now, proposed, last = math.floor(now_us / 1000), tonumber(ARGV[1]), pcall('GET', KEYS[2])
  local since, fence = format('%d', now), last and tonumber(last)
  if (fence and fence >= 0 and format('%d', fence) == last or not last)
    and proposed > (fence or now_us) and proposed <= now_us + 3600000000
    and #since > 11 then -- else %d has 32 bits, and is not exact
    call('HSET', KEYS[1], ARGV[6], '1', ARGV[5], format('%d', now + ARGV[7]), 'token', ARGV[1], 'since', since)
    call('PEXPIRE', KEYS[1], ARGV[7])
    -- It outlives the moment at which the clock has passed it.
    local ahead_ms = proposed > now_us and math.ceil((proposed - now_us) / 1000) or 0
    call('SET', KEYS[2], ARGV[1], 'PX', format('%d', ARGV[3] + ahead_ms))
    return proposed
  end
end
-- short }

local function acquire(KEYS, ARGV)
-- include: acquire.lua
end

-- The fence is read first: who is refused for it must not have the vote already.
local fence = redis.pcall('GET', KEYS[2])
if type(fence) == 'table' then
  return fence
end
if fence and not string.find(fence, '^%d+$') then
  return redis.error_reply('WRONGTYPE the fence is not a number')
end
local reply = acquire(KEYS, { unpack(ARGV, 5) })
if reply.err or reply[1] ~= 1 then
  return reply
end

-- include: base.lua
local proposed, kind = tonumber(ARGV[1]), ARGV[2]
local accepted = fence and tonumber(fence)
local token, count = reply[2], reply[3]
local issued = count > 1 and redis.call('HGET', KEYS[1], 'issued') == '1'

local retention_ms = tonumber(ARGV[3])

local function accepts()
  if proposed == 0 or proposed == token then
    return proposed ~= 0
  elseif kind == '1' then
    return proposed >= (accepted or now_us - retention_ms * 1000)
  end
  local above = proposed > (accepted or now_us) and proposed <= now_us + HOUR_US
  return above and (kind == '2' or count == 1 or token == 0)
end

if accepts() then
  local changes, appeared = token ~= proposed, 0
  issued = issued and not changes
  -- One write, of which nothing but issued may be new: else the key is.
  if kind == '1' and not issued then
    appeared = redis.call('HSET', KEYS[1], 'token', int(proposed), 'issued', 1) - 1
    issued = true
  elseif changes then
    redis.call('HDEL', KEYS[1], 'issued')
    appeared = redis.call('HSET', KEYS[1], 'token', int(proposed))
  end
  if appeared > 0 then
    return stepped_back()
  end
  token = proposed
  if not accepted or accepted < proposed then
    accepted = proposed
    -- It outlives the moment at which the clock has passed it.
    local ahead_ms = math.max(0, math.ceil((accepted - now_us) / 1000))
    redis.call('SET', KEYS[2], int(accepted), 'PX', int(retention_ms + ahead_ms))
  end
end
return { 1, token, count, reply[4], accepted or -now_us, issued and 1 or 0 }
