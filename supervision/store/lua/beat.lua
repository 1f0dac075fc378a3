-- beat(outbox, entries, events, counters; id, incarnation, doing, moved, ...) -> {id, why...} of those that may not go on, `lost` where they register again
-- with waits
local refused = {}
for i = 1, #ARGV, 4 do
  local id, at_coordinator = ARGV[i], key('coordinator', ARGV[i])
  local known = contained('coordinator', id, redis.call, 'HMGET', at_coordinator, 'incarnation', 'state', 'progress_ms', 'doing')
  local damaged = not known
  known = known or {}
  local over = known[2] == 'dead' or known[2] == 'complete' or known[2] == 'failed'
  if known[1] ~= ARGV[i + 1] or over then
    refused[#refused + 1] = id
    refused[#refused + 1] = not damaged and lost(known[1], ARGV[i + 1]) and 'lost' or known[1] == ARGV[i + 1] and 'was declared ' .. known[2] or 'another instance has registered'
  else
    redis.call('ZADD', beats, text(now), id)
    if known[2] == 'registered' then redis.call('HSET', at_coordinator, 'state', 'active') end
    if known[4] ~= ARGV[i + 2] then redis.call('HSET', at_coordinator, 'doing', ARGV[i + 2]) end
    if ARGV[i + 3] == '1' and tonumber(known[3]) > 0 then redis.call('ZADD', moving, text(now + tonumber(known[3])), id) end
  end
end
return refused
