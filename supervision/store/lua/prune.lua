-- prune(orphans, members, flight, incidents, orders, gone, events, records, document...; supervisor, keep_ms, declared) -> {child that was removed...}
local orphans, members, flight, incidents, orders, gone, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local supervisor, keep, declared, removed = ARGV[1], tonumber(ARGV[2]), {}, {}
for _, name in ipairs(cmsgpack.unpack(ARGV[3])) do declared[name] = true end

local function remove(child)
  for i = 8, #KEYS do redis.call('HDEL', KEYS[i], child) end
  redis.call('HDEL', orders, 'pause:' .. child, 'enabled:' .. child)
  redis.call('HDEL', incidents, supervisor .. '/' .. child)
  redis.call('HDEL', orphans, child)
  redis.call('HSET', gone, child, text(now))
  removed[#removed + 1] = child
  event(events, 0, {'kind', 'member', 'subject', supervisor .. '/' .. child, 'reason', 'not in the code for long',
    'before', '', 'after', 'removed', 'attempt', '0', 'actor', 'sweep'})
end

for _, child in ipairs(redis.call('HKEYS', KEYS[8])) do
  local since = tonumber(redis.call('HGET', orphans, child))
  if declared[child] or redis.call('HEXISTS', members, child) == 1 then redis.call('HDEL', orphans, child)
  elseif not since or since > now then redis.call('HSET', orphans, child, text(now))
  elseif now - since > keep and redis.call('HEXISTS', flight, child) == 0 then remove(child) end
end
return removed
