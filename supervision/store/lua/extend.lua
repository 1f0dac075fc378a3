-- extend(outbox, entries, events, counters; id, by_ms, why, by) -> {until, deadline} | {over|gone, how}
-- with waits
local id = ARGV[1]
local wait = redis.call('HMGET', key('wait', id), 'state', 'how')
local deadline = tonumber(redis.call('ZSCORE', deadlines, member(0, id)))
if wait[1] ~= 'waiting' or not deadline then return {wait[1] and 'over' or 'gone', wait[2] or ''} end
if deadline <= now then return {'over', 'timed_out'} end
local later = text(deadline + tonumber(ARGV[2]))
redis.call('ZADD', deadlines, later, member(0, id))
wait_event(id, text(deadline), later, ARGV[3], ARGV[4])
return {'until', later}
