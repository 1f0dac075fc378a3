-- bury(outbox, entries, events, counters; process, why) -> {coordinator...} that died with this process
-- with waits
local died = {}
for _, id in ipairs(redis.call('SMEMBERS', key('process', ARGV[1]))) do
  local known = hash(key('coordinator', id))
  if known.process == ARGV[1] and end_coordinator(id, known, 'dead', ARGV[2], 'its process') then died[#died + 1] = id end
end
redis.call('DEL', key('process', ARGV[1]))
return died
