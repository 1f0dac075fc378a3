-- ran_once(outbox, entries, events, counters; task, holder, state, value, lease_ms, keep_ms) -> whether it was still theirs to say
-- with waits
local at_once, state = key('once', ARGV[1]), ARGV[3]
if redis.call('HGET', at_once, 'holder') ~= ARGV[2] then return 0 end
if state == 'released' then
  redis.call('DEL', at_once)
elseif state == 'done' then -- Celery still has to store the value and to send what follows
  redis.call('HSET', at_once, 'value', ARGV[4], 'until', text(now + tonumber(ARGV[5])))
else
  redis.call('HDEL', at_once, 'value')
  redis.call('HSET', at_once, 'settled', 1)
end
redis.call('PEXPIRE', at_once, ARGV[6])
return 1
