-- retry(outbox, entries, events, counters; id, why, by, lease_ms) -> {again, {wait, ...}...} | {other|gone, state} | {damaged, why}
-- with waits
local id, at_wait = ARGV[1], key('wait', ARGV[1])
local read, wait = pcall(hash, at_wait)
if not read or wait.damaged then return {'damaged', read and wait.why or 'its record is damaged: it is of another type'} end
if wait.state ~= 'dead_letter' then return {wait.state and 'other' or 'gone', wait.state or ''} end
-- Received and let go, not ended: that it was received once is counted, and starts go on counting, so that a run of
-- before, which lives after all, is not taken for one of these.
redis.call('HSET', at_wait, 'state', 'received', 'lease', '0', 'forgiven', wait.started, 'sent', 1)
redis.call('ZADD', ended, text(now), id)
redis.call('ZREM', key('dead_letters'), 'wait:' .. id)
wait_event(id, 'dead_letter', 'received', ARGV[2], ARGV[3])
if wait.channel then return {'again'} end
redis.call('ZADD', undelivered, text(now + 5000), id)
return {'again', unpack(handed({id, wait.mail}, tonumber(ARGV[4])))}
