-- cancel(outbox, entries, events, counters; id, how, value, why, by, lease_ms, suffix of the id of what took its place on timeout, or nothing) -> {ended, {wait, ...}...} | {over|gone, how}
-- with waits
local id, how, why, by = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local wait = hash(key('wait', id))
while ARGV[7] ~= '' and wait.how == 'timed_out' and redis.call('EXISTS', key('wait', id .. ARGV[7])) == 1 do
  id = id .. ARGV[7]
  wait = hash(key('wait', id))
end
if wait.state ~= 'waiting' then return {wait.state and 'over' or 'gone', wait.how or ''} end
if how == 'released' then redis.call('HSET', key('wait', id), 'value', ARGV[3]) end
local mail = finish(id, wait, terms_of(wait), how, why, by)
return {'ended', unpack(handed(mail and {id, mail} or {}, tonumber(ARGV[6])))}
