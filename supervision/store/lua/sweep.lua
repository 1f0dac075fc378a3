-- sweep(sweeps, outbox, entries, events; name, request, by, reason) -> {ordered, entry} | {same}
local sweeps, outbox, entries, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, request = ARGV[1], ARGV[2]

-- Asked again by somebody who did not hear the answer.
if redis.call('HGET', sweeps, name) == request then return {'same'} end
redis.call('HSET', sweeps, name, request)
event(events, 0, {'kind', 'order', 'subject', 'sweep:' .. name, 'before', '', 'after', 'ordered', 'reason', ARGV[4],
  'attempt', '0', 'actor', ARGV[3]})
return {'ordered', enqueue(outbox, entries, 'sweep:' .. name .. ':' .. request, 'sweep', name)}
