-- all.lua: take several free locks of one slot, or none.
-- KEYS: for each lock the five of acquire.lua
-- ARGV: for each lock the nine of acquire.lua, without a channel
-- Reply: for each lock that of acquire.lua, or {0}: it would have been granted, but another was not
-- Invariant: what was granted is given back by the same script, so nobody sees
-- it, and nobody can have begun to wait for it. A hold that was there before
-- stays: this may be a late copy, and its holder has it still.

local function acquire(KEYS, ARGV)
-- include: acquire.lua
end
local function release(KEYS, ARGV)
-- include: release.lua
end

local keys, args, replies, had, complete = {}, {}, {}, {}, true
for n = 1, #KEYS / 5 do
  keys[n], args[n] = { unpack(KEYS, n * 5 - 4, n * 5) }, { unpack(ARGV, n * 9 - 8, n * 9) }
  had[n] = redis.pcall('HEXISTS', keys[n][1], 'hold:' .. args[n][1]) == 1
  replies[n] = acquire(keys[n], args[n])
  if replies[n].err or replies[n][1] ~= 1 then
    complete = false
    break
  end
end
if complete then
  return replies
end
local failure
for n, reply in ipairs(replies) do
  if reply.err then
    failure = reply
  elseif reply[1] == 1 and not had[n] then
    release(keys[n], { args[n][1], '0', '0', '0', args[n][8], '' })
    replies[n] = { 0 }
  end
end
for n = #replies + 1, #KEYS / 5 do
  replies[n] = { 0 }
end
return failure or replies
