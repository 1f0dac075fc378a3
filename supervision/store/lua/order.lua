-- order(control, orders, outbox, entries, events; supervisor, subject, field, value, request, after, by, reason) -> {set, value, entry} | {same, value} | {over, incident}
local control, orders, outbox, entries, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local supervisor, subject, field, value, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local known = redis.call('HGET', orders, field)
local before = known or (field == 'mode' and 'act' or '')

-- Asked again by somebody who did not hear the answer: the order stands, once.
if before == value then return {'same', value} end
if request ~= '' and known and value ~= '' and cjson.decode(known).request == request then return {'same', known} end

if string.sub(field, 1, 6) == 'pause:' then before = known and 'paused' or '' end
if field == 'reset' then
  -- By the incident's id, so that an order that comes late cannot clear a newer one.
  local circuit = cjson.decode(redis.call('HGET', control, 'circuit') or '{}')
  local state = circuit.state or 'closed'
  if circuit.incident ~= value or state == 'closed' then
    return {'over', state ~= 'closed' and circuit.incident or ''}
  end
  before = state
end

if value == '' then redis.call('HDEL', orders, field) else redis.call('HSET', orders, field, value) end
event(events, 0, {'kind', 'order', 'subject', subject, 'before', before, 'after', ARGV[6], 'reason', ARGV[8],
  'attempt', '0', 'actor', ARGV[7]})
return {'set', value, dirty(control, outbox, entries, supervisor)}
