-- extend(outbox, entries, events, counters; id, by_ms, why, by, most_ms) -> {until, deadline} | {over|gone, how} | {beyond, left_ms}
-- with waits
local id = ARGV[1]
local wait = redis.call('HMGET', key('wait', id), 'state', 'how', 'since')
local deadline = tonumber(redis.call('ZSCORE', deadlines, member(0, id)))
if wait[1] ~= 'waiting' or not deadline then return {wait[1] and 'over' or 'gone', wait[2] or ''} end
if deadline <= now then return {'over', 'timed_out'} end
local left = tonumber(wait[3]) + tonumber(ARGV[5]) - deadline
if tonumber(ARGV[2]) > left then return {'beyond', text(math.max(left, 0))} end
local later = text(deadline + tonumber(ARGV[2]))
redis.call('ZADD', deadlines, later, member(0, id))
wait_event(id, text(deadline), later, ARGV[3], ARGV[4])
return {'until', later}
