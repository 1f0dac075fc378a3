-- enrol(control, members, sources, gone, incidents, orders, events, flight, document...; supervisor, epoch, keep_ms, changes) -> {done|superseded}
local control, members, sources, gone, incidents, orders, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local supervisor, epoch, keep = ARGV[1], ARGV[2], tonumber(ARGV[3])
local changes = cmsgpack.unpack(ARGV[4])
if redis.call('HGET', control, 'epoch') ~= epoch then return {'superseded'} end

for _, change in ipairs(changes.members) do
  redis.call('HSET', members, change[1], change[2])
  redis.call('HDEL', gone, change[1])
end
if changes.source ~= '' then redis.call('HSET', sources, changes.source, changes.document) end

local busy, used = {}, {}
local function remove(child)
  for i = 9, #KEYS do redis.call('HDEL', KEYS[i], child, '/' .. child) end -- /child: a look at it alone
  redis.call('HDEL', members, child)
  redis.call('HDEL', orders, 'pause:' .. child, 'enabled:' .. child)
  redis.call('HDEL', incidents, supervisor .. '/' .. child)
  -- A late look must not bring its documents back.
  redis.call('HSET', gone, child, text(now))
end

for _, removed in ipairs(changes.removed) do
  local child, source = removed[1], removed[2]
  -- A person gave it an action since it was loaded, or nobody saw the one that it has: its end comes first.
  if redis.call('HEXISTS', KEYS[8], child) == 1 then
    busy[supervisor .. '/' .. child], used[source] = true, true
  else
    remove(child)
  end
end
for _, source in ipairs(changes.unused) do
  if not used[source] then redis.call('HDEL', sources, source) end
end
-- Some of the tombstones at each change, so that many of them make no script long.
local some = redis.call('HRANDFIELD', gone, 100, 'WITHVALUES')
for i = 1, #some, 2 do
  if math.abs(now - tonumber(some[i + 1])) > keep then redis.call('HDEL', gone, some[i]) end
end
for _, fields in ipairs(changes.events) do
  if not busy[fields[2]] then
    event(events, epoch, {'kind', fields[1], 'subject', fields[2], 'reason', fields[3], 'before', fields[4],
      'after', fields[5], 'attempt', fields[6], 'actor', 'tick'})
  end
end
return {'done'}
