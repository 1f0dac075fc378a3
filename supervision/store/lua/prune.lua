-- prune(orphans, members, flight, incidents, orders, gone, events, sources, records, document...; supervisor, keep_ms, in_code, source) -> {child that was removed...}
local orphans, members, flight, incidents, orders, gone, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local sources = KEYS[8]
local supervisor, keep, in_code, removed = ARGV[1], tonumber(ARGV[2]), {}, {}
for _, name in ipairs(cmsgpack.unpack(ARGV[3])) do in_code[name] = true end

local function remove(child)
  for i = 9, #KEYS do redis.call('HDEL', KEYS[i], child, '/' .. child) end
  redis.call('HDEL', members, child)
  redis.call('HDEL', orders, 'pause:' .. child, 'enabled:' .. child)
  redis.call('HDEL', incidents, supervisor .. '/' .. child)
  redis.call('HDEL', orphans, child)
  redis.call('HSET', gone, child, text(now))
  removed[#removed + 1] = child
  event(events, 0, {'kind', 'member', 'subject', supervisor .. '/' .. child, 'reason', 'not in the code for long',
    'before', '', 'after', 'removed', 'attempt', '0', 'actor', 'sweep'})
end

-- Whether it is there, and stays: one that is missed is noted first, and removed when that was long ago.
local function stays(child, there)
  local since = tonumber(redis.call('HGET', orphans, child))
  if there then redis.call('HDEL', orphans, child)
  elseif not since or since > now then redis.call('HSET', orphans, child, text(now))
  elseif now - since > keep and redis.call('HEXISTS', flight, child) == 0 then
    remove(child)
    return false
  end
  return true
end

local enrolled, used = hash(members), {}
for child, stored in pairs(enrolled) do
  local read, member = pcall(cjson.decode, stored)
  local source = read and type(member) == 'table' and member.source
  -- What the document in force wants is made by some version of the code, though not by this one.
  if stays(child, in_code[child] or source == ARGV[4]) and source then used[source] = true end
end
for _, child in ipairs(redis.call('HKEYS', KEYS[9])) do
  if not enrolled[child] then stays(child, in_code[child]) end
end
if #removed > 0 then
  for _, source in ipairs(redis.call('HKEYS', sources)) do
    if not used[source] then redis.call('HDEL', sources, source) end
  end
end
return removed
