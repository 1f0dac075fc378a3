-- missing(outbox, entries, events, counters; most, most_parts, again_ms) -> {{id, whether some are still to be published, index...}...} of gathers to look after
-- with waits
local answer = {}

local function looked_after(id)
  local found = redis.call('HMGET', key('wait', id), 'state', 'what', 'fanned')
  if found[1] == 'waiting' then
    -- Any of them, in no order: whoever has more than fit is looked after the next time.
    local some = redis.call('HRANDFIELD', key('parts', id), ARGV[2])
    local fanned, gather = tonumber(found[3]), {id, '0'}
    if fanned < cjson.decode(found[2]).parts then gather[2] = '1' end
    for _, index in ipairs(some) do
      if tonumber(index) < fanned then gather[#gather + 1] = index end
    end
    answer[#answer + 1] = gather
    redis.call('ZADD', key('gathers'), text(now + tonumber(ARGV[3])), id)
  else
    redis.call('ZREM', key('gathers'), id)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('gathers'), '-inf', text(now), 'LIMIT', 0, ARGV[1])) do
  contained('wait', id, looked_after, id)
end
return answer
