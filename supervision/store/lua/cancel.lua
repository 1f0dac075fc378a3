-- cancel(outbox, entries, events, counters; id, how, value, why, by, lease_ms, suffix of the ids of what took its place on timeout, or nothing) -> {ended, id, {wait, ...}...} | {late, how, {wait, ...}...} of one whose time was over, and which ends by that | {over|gone, how}
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
local terms = terms_of(wait)
local mail = overdue(id, wait, terms)
local late = wait.state ~= 'waiting'
if not late then
  if how == 'released' then redis.call('HSET', key('wait', id), 'value', ARGV[3]) end
  mail = finish(id, wait, terms, how, why, by)
end
return {late and 'late' or 'ended', late and wait.how or id, unpack(handed(mail and {id, mail} or {}, tonumber(ARGV[6])))}
