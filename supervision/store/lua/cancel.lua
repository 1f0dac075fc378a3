-- cancel(outbox, entries, events, counters; id, how, value, why, by, lease_ms) -> {ended, {wait, ...}...} | {over|gone, how}
-- with waits
local id, how, why, by = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local wait = hash(key('wait', id))
if wait.state ~= 'waiting' then return {wait.state and 'over' or 'gone', wait.how or ''} end
if how == 'released' then redis.call('HSET', key('wait', id), 'value', ARGV[3]) end
local mail = finish(id, wait, terms_of(wait), how, why, by)
return {'ended', unpack(handed(mail and {id, mail} or {}, tonumber(ARGV[6])))}
