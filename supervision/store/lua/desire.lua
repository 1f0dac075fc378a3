-- desire(control, desired, outbox, entries, events; supervisor, child, expected, document, request, by, reason) -> {set, revision, entry} | {same|conflict, revision}
local control, desired, outbox, entries, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local supervisor, child, expected, document, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
-- Without a child it is the supervisor's own document.
local known = redis.call('HGET', desired, child) or ''
local revision = string.match(known, '^{"revision":(%d+)') or '0'

-- Asked again by somebody who did not hear the answer: it is set, once.
if string.match(known, '^{"revision":%d+,"request":"([^"]*)"') == request then return {'same', revision} end
if expected ~= 'any' and expected ~= revision then return {'conflict', revision} end

-- Put together, not encoded: cjson would write an empty list as an empty mapping, and round large numbers.
local grown_by_one = text(tonumber(revision) + 1)
redis.call('HSET', desired, child, '{"revision":' .. grown_by_one .. ',"request":"' .. request .. '","document":' .. document .. '}')
local subject = child == '' and supervisor or supervisor .. '/' .. child
event(events, 0, {'kind', 'desired', 'subject', subject, 'before', revision, 'after', grown_by_one,
  'reason', ARGV[7], 'attempt', '0', 'actor', ARGV[6]})
return {'set', grown_by_one, dirty(control, outbox, entries, supervisor)}
