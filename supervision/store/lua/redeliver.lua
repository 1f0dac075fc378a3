-- redeliver(outbox, entries, events, counters; most) -> {{wait, ended, message}...} of those that nobody has gone on with in time
-- with waits
local answer = {}
local function again(id)
  local at_wait = key('wait', id)
  local state = redis.call('HMGET', at_wait, 'state', 'mail', 'sent')
  if state[2] and (state[1] == 'ended' or state[1] == 'received') then
    local pause = math.min(300000, 5000 * 2 ^ math.min(tonumber(state[3]) or 0, 10))
    redis.call('HINCRBY', at_wait, 'sent', 1)
    redis.call('ZADD', undelivered, text(now + pause), id)
    count(counters, 'supervision_redeliveries_total')
    answer[#answer + 1] = {id, 'ended', state[2]}
    took_bytes(#state[2])
  else
    redis.call('ZREM', undelivered, id)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', undelivered, '-inf', text(now), 'LIMIT', 0, ARGV[1])) do
  if slice_is_full() then break end
  contained('wait', id, again, id)
end
return answer
