-- cancel(outbox, entries, events, counters; id, how, value, why, by, lease_ms, suffix of the ids of what took its place on timeout, or nothing) -> {ended, id, {wait, ...}...} | {late, how, {wait, ...}...} of one whose time was over, and which ends by that | {over|gone, how}
-- with waits
local id, how, why, by, suffix = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[7]
local wait = brief(id)

-- Whether something takes its place, as a signature may on timeout.
local function replaced(its)
  local instead = its.how == 'timed_out' and terms_of(its).on_timeout
  return type(instead) == 'table' and instead.signature
end

-- What takes its place on timeout may not have begun to wait yet: it finds this, for a day.
local function leave_word(place)
  if redis.call('HSETNX', key('wait', place), 'revoked', why) == 0 then return end
  redis.call('ZADD', ended, text(now), place)
  wait_event(place, 'timed_out', 'revoked', why, by)
end

if suffix ~= '' and wait.state ~= 'waiting' then
  local place, last = id, replaced(wait) and id
  for _ = 1, 10 do -- one may have taken the place of another, whose record is gone after a day
    local before = place
    place = before .. suffix
    local its = brief(place)
    if its.state and terms_of(its).instead_of ~= before then break end
    if its.state == 'waiting' then
      id, wait, last = place, its, nil
      break
    end
    if its.state then last = replaced(its) and place end
  end
  if last then leave_word(last) end
end
if wait.state ~= 'waiting' then return {wait.state and 'over' or 'gone', wait.how or ''} end
local terms = terms_of(wait)
local mail = overdue(id, wait, terms)
local late = wait.state ~= 'waiting'
if late then
  if suffix ~= '' and replaced(wait) then leave_word(id) end
else
  if how == 'released' then redis.call('HSET', key('wait', id), 'value', ARGV[3]) end
  mail = finish(id, wait, terms, how, why, by)
end
return {late and 'late' or 'ended', late and wait.how or id, unpack(handed(mail and {id, mail} or {}, tonumber(ARGV[6])))}
