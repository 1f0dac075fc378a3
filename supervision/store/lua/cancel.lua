-- cancel(outbox, entries, events, counters; id, how, value, why, by, lease_ms, suffix of the ids of what took its place on timeout, or nothing) -> {ended, id, {wait, ...}...} | {over|gone, how}
-- with waits
local id, how, why, by = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local wait = hash(key('wait', id))
if ARGV[7] ~= '' and wait.state ~= 'waiting' then
  local place, how_it_ended = id, wait.how
  for _ = 1, 10 do -- one may have taken the place of another; the first's record is gone after a day, so each names it
    place = place .. ARGV[7]
    local its = hash(key('wait', place))
    if its.state == 'waiting' and terms_of(its).instead_of == ARGV[1] then id, wait = place, its break end
  end
  -- What takes its place may not have begun to wait yet.
  if id == ARGV[1] and how_it_ended == 'timed_out' then redis.call('HSET', key('wait', id), 'revoked', why) end
end
if wait.state ~= 'waiting' then return {wait.state and 'over' or 'gone', wait.how or ''} end
if how == 'released' then redis.call('HSET', key('wait', id), 'value', ARGV[3]) end
local mail = finish(id, wait, terms_of(wait), how, why, by)
return {'ended', id, unpack(handed(mail and {id, mail} or {}, tonumber(ARGV[6])))}
