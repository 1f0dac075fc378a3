-- order(control, orders, outbox, entries, events, action; supervisor, subject, field, value, request, word, by, reason, default, fence) -> {set, value, entry} | {same, value} | {over, incident}
local control, orders, outbox, entries, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local supervisor, subject, field, value, request, word = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local known = redis.call('HGET', orders, field)
local standing = known or ARGV[9]
-- What a tick takes off when it has heard it would else be ordered anew by whoever asks again after that.
local once = field == 'force-open' or field == 'restart'

local function requested()
  if once then return redis.call('HGET', orders, 'asked:' .. field) end
  return known and value ~= '' and cjson.decode(known).request
end

-- A run that was given up and wakes up late: what it wants was ordered by a later one, or is no longer wanted.
local run = redis.call('HMGET', KEYS[6], 'state', 'fence')
if ARGV[10] ~= '' and (run[1] ~= 'running' or run[2] ~= ARGV[10]) then return {'same', standing} end

-- The last order wins: a reset also takes off a circuit forced open that no tick has heard yet.
local withdraws = field == 'reset' and redis.call('HEXISTS', orders, 'force-open') == 1

-- Asked again by somebody who did not hear the answer: the order stands, once.
if standing == value and not withdraws then return {'same', value} end
if request ~= '' and requested() == request then return {'same', standing} end

-- How a value reads in the history.
local function told(held)
  if held == '' or field == 'mode' then return held end
  if string.sub(field, 1, 8) == 'enabled:' then return held == '1' and 'enabled' or 'disabled' end
  return word
end

local before = told(standing)
if field == 'reset' or field == 'force-open' then
  local circuit = cjson.decode(redis.call('HGET', control, 'circuit') or '{}')
  before = circuit.state or 'closed'
  -- By the incident's id, so that an order that comes late cannot clear a newer one.
  if field == 'reset' and circuit.incident ~= value then return {'over', circuit.incident or ''} end
end

if withdraws then redis.call('HDEL', orders, 'force-open') end
if value == '' then redis.call('HDEL', orders, field) else redis.call('HSET', orders, field, value) end
if once then redis.call('HSET', orders, 'asked:' .. field, request) end
event(events, 0, {'kind', 'order', 'subject', subject, 'before', before, 'after', told(value), 'reason', ARGV[8],
  'attempt', '0', 'actor', ARGV[7]})
return {'set', value, dirty(control, outbox, entries, supervisor)}
