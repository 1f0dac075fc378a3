-- bury(outbox, entries, events, counters; process, why, most) -> {left, coordinator, expected, ...} that died with this process
-- with waits
local process, died = key('process', ARGV[1]), {0}

local function dies(id)
  local known = hash(key('coordinator', id))
  local ended, expected = false, false
  if known.process == ARGV[1] then ended, expected = end_coordinator(id, known, 'dead', ARGV[2], 'its process') end
  if ended then
    died[#died + 1] = id
    died[#died + 1] = expected and '1' or '0'
  end
end

for _, id in ipairs(redis.call('SPOP', process, ARGV[3])) do contained('coordinator', id, dies, id) end
died[1] = redis.call('SCARD', process)
return died
