-- forget(supervisors, declared, counters, incidents, events, flight, key...; supervisor, keep_ms) -> {forgotten|kept}
local supervisors, declared, counters, incidents, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local supervisor, keep = ARGV[1], tonumber(ARGV[2])
local last = tonumber(redis.call('HGET', declared, supervisor)) or now
-- An action that is under way ends first; a moment in the future is from before the clock was set back.
if now - last <= keep or redis.call('HLEN', KEYS[6]) > 0 then return {'kept'} end

for i = 6, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('HDEL', supervisors, supervisor)
redis.call('HDEL', declared, supervisor)
local label, below = '|supervisor=' .. supervisor .. '|', supervisor .. '/'
for _, field in ipairs(redis.call('HKEYS', counters)) do
  if string.find(field .. '|', label, 1, true) then redis.call('HDEL', counters, field) end
end
for _, subject in ipairs(redis.call('HKEYS', incidents)) do
  if subject == supervisor or string.sub(subject, 1, #below) == below then redis.call('HDEL', incidents, subject) end
end
event(events, 0, {'kind', 'member', 'subject', supervisor, 'reason', 'no worker has declared it for long', 'before', '',
  'after', 'forgotten', 'attempt', '0', 'actor', 'sweep'})
return {'forgotten'}
