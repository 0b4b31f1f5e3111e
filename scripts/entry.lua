-- entry.lua: what the waiters' hash has of one who waits. After base.lua.

-- What an entry says of its client's subscription.
local UNKNOWN = '0' -- may be anywhere: the grant is published, whoever hears it
local HERE = '1' -- was at this server at the last check-in
local PASSED = '2' -- was, and it has been passed over since

-- entry_of is the entry of w, who checked in at seen; here is one of the above.
local function entry_of(w, seen, here)
  return int(seen) .. ' ' .. int(w.life_ms) .. ' ' .. int(w.ttl_ms) .. ' ' .. here .. ' ' .. w.channel .. ' ' .. w.owner
end

-- read_entry is the reverse; nil: there is none that can be read.
local function read_entry(text)
  local seen, life, ttl, here, channel, owner =
    string.match(type(text) == 'string' and text or '', '^(%d+) (%d+) (%d+) (%d) (%S+) (.*)$')
  return seen and {
    seen = tonumber(seen), life_ms = tonumber(life), ttl_ms = tonumber(ttl),
    here = here, channel = channel, owner = owner,
  }
end
