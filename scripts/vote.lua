-- vote.lua: acquire.lua on a node of a quorum, which accepts tokens instead of minting them.
-- KEYS: 1-5 as acquire.lua  6 what the node remembers of its quorum (none on a cluster)
-- ARGV: 1-9 as acquire.lua, with a fence retention of 0: nothing is minted
--       10 proposed token (0 = none)  11 kind (0 fresh, 1 owned, 2 anew)  12 fence retention_ms  13 node id
-- Reply: {1, token, count, left_ms, accepted, issued}  granted; the token of the hold (0: none yet), the greatest
--                                                      accepted here (-clock: no record), 1 if a quorum accepted
--                                                      the token
--        else as acquire.lua
-- Invariants: the fence never falls, and is the greatest token this node has
-- accepted. A fresh token is accepted only above it, so in one order for all
-- holds. A token owned already is accepted where its owner has it, and where
-- nothing above it was accepted: no other owner can have come in between. A node
-- without a fence takes its clock for it; a record of a token above an owned one
-- that is younger than the retention would still be there.

-- include: base.lua
if KEYS[6] and redis.call('HGET', KEYS[6], 'id') ~= ARGV[13] then
  return redis.error_reply('FORGOT this server has not the id it was known by')
end
local function acquire()
-- include: acquire.lua
end

-- The fence is read first: who is refused for it must not have the vote already.
local fence = redis.pcall('GET', KEYS[2])
if failed(fence) then
  return fence
end
if fence and not string.find(fence, '^%d+$') then
  return redis.error_reply('WRONGTYPE the fence is not a number')
end
local reply = acquire()
local proposed, kind = tonumber(ARGV[10]), ARGV[11]
if reply.err or reply[1] ~= 1 then
  return reply
end
local accepted = fence and tonumber(fence)
local token, count = reply[2], reply[3]
local issued = count > 1 and redis.call('HGET', KEYS[1], 'issued') == '1'

local retention_ms = tonumber(ARGV[12])

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
