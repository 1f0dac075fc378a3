-- sweep(outbox, entries, events; name, request, by, reason) -> {ordered, entry} | {same}
local outbox, entries, events = KEYS[1], KEYS[2], KEYS[3]
local name = ARGV[1]
local id = 'sweep:' .. name .. ':' .. ARGV[2]

-- Asked again by somebody who did not hear the answer; once it is sent, one sweep more does no harm.
if redis.call('HEXISTS', entries, id) == 1 then return {'same'} end
event(events, 0, {'kind', 'order', 'subject', 'sweep:' .. name, 'before', '', 'after', 'ordered', 'reason', ARGV[4],
  'attempt', '0', 'actor', ARGV[3]})
return {'ordered', enqueue(outbox, entries, id, 'sweep', name)}
