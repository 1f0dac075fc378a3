-- bury(outbox, entries, events, counters; process, why) -> {coordinator, expected, ...} that died with this process
-- with waits
local died = {}
for _, id in ipairs(redis.call('SMEMBERS', key('process', ARGV[1]))) do
  local known = hash(key('coordinator', id))
  local ended, expected = false, false
  if known.process == ARGV[1] then ended, expected = end_coordinator(id, known, 'dead', ARGV[2], 'its process') end
  if ended then
    died[#died + 1] = id
    died[#died + 1] = expected and '1' or '0'
  end
end
redis.call('DEL', key('process', ARGV[1]))
return died
