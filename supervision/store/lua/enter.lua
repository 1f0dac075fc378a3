-- enter(outbox, entries, events, counters; id, what, mail, timeout_ms, channel, incarnation, resumed, lease_ms) -> {waiting, left_ms, began or nothing, whose death a parent was told of or nothing} | {received, ...} | {unknown|circle|superseded|lost, name...} | {other, what it is for, state} | {gone|unstaged}
-- with waits
local id, what, mail, timeout, channel = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local terms, at_wait, lease = what ~= '' and cjson.decode(what) or {}, key('wait', ARGV[1]), tonumber(ARGV[8])

local newest = ARGV[6] ~= '' and redis.call('HGET', key('coordinator', terms.owner), 'incarnation')
if ARGV[6] ~= '' and newest ~= ARGV[6] then return {lost(newest, ARGV[6]) and 'lost' or 'superseded', terms.owner} end
local function still_waiting(began)
  return {'waiting', text(tonumber(redis.call('ZSCORE', deadlines, member(0, id))) - now), began, began and told_of}
end

local state = redis.call('HGET', at_wait, 'state')
-- A process that comes back goes on with the wait it had; one that has had its answer waits anew.
if channel ~= '' and state == 'processed' then
  redis.call('DEL', at_wait)
  redis.call('ZREM', ended, id)
  state = nil
end
-- A task that somebody gave the id of another one. What is compared is as each version has written it: the same message,
-- which comes again, is never taken for another.
local its = state and what ~= '' and channel == '' and state ~= 'dead_letter' and cjson.decode(redis.call('HGET', at_wait, 'what'))
local parts_differ = its and its.digest and terms.digest and its.digest ~= terms.digest
if parts_differ and its.told == terms.told then its.told = its.told .. ' of another gather' end
if its and (its.told ~= terms.told or parts_differ) then return {'other', its.told, state} end
if state then
  local again = false
  if channel ~= '' then
    -- An older instance that had claimed it is superseded: what it still says of it is refused, so nobody waits for that.
    again = redis.call('HGET', at_wait, 'claimer') == ARGV[6]
    if not again then redis.call('HSET', at_wait, 'lease', '0') end
    redis.call('HSET', at_wait, 'channel', channel, 'claimer', ARGV[6])
  end
  if state ~= 'waiting' then return contained('wait', id, claim, id, lease, again) or {'dead_letter'} end
  if tonumber(redis.call('ZSCORE', deadlines, member(0, id))) > now then return still_waiting() end
  -- No sweep has come by: where no workers are, those who wait end their waits themselves.
  local wait = hash(at_wait)
  finish(id, wait, terms_of(wait), 'timed_out', late(id, terms_of(wait)))
  return claim(id, lease)
end
if ARGV[7] == '1' then return {'gone'} end

-- Nobody waits for a signal that stands, whoever was expected to send it.
local came = {}
for i, leaf in ipairs(terms.leaves) do
  if latched(leaf[1]) then came[i] = true
  elseif leaf[2] ~= '' and redis.call('EXISTS', key('coordinator', leaf[2])) == 0 then return {'unknown', leaf[2]} end
end
local found = terms.owner and circle(terms.owner, terms, came)
if found then return {'circle', unpack(found)} end

if terms.parts and redis.call('HLEN', key('parts', id)) ~= terms.parts then return {'unstaged'} end
local wait = {state = 'waiting', what = what, since = text(now)}
if channel == '' then wait.mail = mail else wait.channel, wait.claimer = channel, ARGV[6] end
local fields = {}
for name, value in pairs(wait) do
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
redis.call('HSET', at_wait, unpack(fields))
redis.call('ZADD', open, text(now), id)
redis.call('ZADD', deadlines, text(now + timeout), member(0, id))
if terms.owner then redis.call('SADD', key('waits_of', terms.owner), id) end
if terms.parts then
  redis.call('PERSIST', key('parts', id))
  redis.call('HSET', at_wait, 'fanned', 0)
  redis.call('ZADD', key('gathers'), text(now), id)
  enqueue(outbox, entries, 'parts:' .. id, 'parts', id)
end
wait_event(id, '', 'waiting', terms.told, terms.owner)
begin(id, wait, terms)
local revoked = wait.state == 'waiting' and terms.instead_of and redis.call('HGET', key('wait', terms.instead_of), 'revoked')
if revoked then finish(id, wait, terms, 'cancelled', revoked, 'revoke') end
if wait.state == 'waiting' then return still_waiting('began') end
return claim(id, lease)
