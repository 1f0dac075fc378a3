-- hold(outbox, entries, events, counters; lease_ms, id, start, id, start...) -> {id...} of those that are still who claims them's
-- with waits
local theirs, lease = {}, text(now + tonumber(ARGV[1]))
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  local known = redis.call('HMGET', key('wait', id), 'state', 'started', 'channel')
  if known[1] == 'received' and known[2] == ARGV[i + 1] then
    theirs[#theirs + 1] = id
    redis.call('HSET', key('wait', id), 'lease', lease)
    if not known[3] then redis.call('ZADD', undelivered, lease, id) end
  end
end
return theirs
