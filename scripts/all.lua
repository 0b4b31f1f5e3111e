-- all.lua: take several free locks of one slot, or none.
-- KEYS: for each lock the five of acquire.lua
-- ARGV: for each lock the first five of acquire.lua
-- Reply: for each lock that of acquire.lua, as a list, or {0}: it would have been granted, but another was not
-- Invariant: what was granted is given back by the same script, so nobody sees
-- it, and nobody can have begun to wait for it. A hold that was there before
-- stays: this may be a late copy, and its holder has it still.

local function acquire(KEYS, ARGV)
-- include: acquire.lua
end
local function release(KEYS, ARGV)
-- include: release.lua
end

local KEYS_EACH, ARGS_EACH = 5, 5 -- of acquire.lua
local HOLD, TTL, RETENTION = 1, 3, 5 -- of its arguments

-- slice returns the nth so many of list.
local function slice(list, n, many)
  return { unpack(list, (n - 1) * many + 1, n * many) }
end

local keys, args, replies, had, complete = {}, {}, {}, {}, true
for n = 1, #KEYS / KEYS_EACH do
  keys[n], args[n] = slice(KEYS, n, KEYS_EACH), slice(ARGV, n, ARGS_EACH)
  had[n] = redis.pcall('HEXISTS', keys[n][1], args[n][HOLD]) == 1
  replies[n] = acquire(keys[n], args[n])
  if type(replies[n]) == 'number' then
    replies[n] = { 1, replies[n], 1, tonumber(args[n][TTL]) }
  elseif replies[n].err or replies[n][1] ~= 1 then
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
    release(keys[n], { args[n][HOLD], '0', '0', args[n][RETENTION] })
    replies[n] = { 0 }
  end
end
for n = #replies + 1, #KEYS / KEYS_EACH do
  replies[n] = { 0 }
end
return failure or replies
