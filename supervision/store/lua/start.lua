-- start(action, fence, due, events, counters; id, grace_ms, probe_lease_ms) -> {run, fence, field, value...} | {duplicate, state}
local key, fences, due, events, counters = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local action = hash(key)
if action.state ~= 'queued' then
  count(counters, 'supervisor_actions_duplicate_total|supervisor=' .. (action.supervisor or ''))
  return {'duplicate', action.state or 'gone'}
end

-- A restart probe is good for a while only; the sweep ends the one that nobody started in time.
if action.incident ~= '' and now - tonumber(action.created) > tonumber(ARGV[3]) then return {'duplicate', 'expired'} end

local fence, attempt = grown(redis.call('GET', fences)), tonumber(action.attempt) + 1
local deadline = now + tonumber(action.timeout_ms) + tonumber(ARGV[2])
redis.call('SET', fences, text(fence))
redis.call('HSET', key, 'state', 'running', 'attempt', attempt, 'fence', text(fence), 'started', text(now),
  'deadline', text(deadline))
redis.call('ZADD', due, text(deadline), ARGV[1])
event(events, 0, {'kind', 'action', 'subject', action.supervisor .. '/' .. action.child, 'before', 'queued',
  'after', 'running', 'reason', action.name, 'action', ARGV[1], 'attempt', tostring(attempt), 'actor', action.actor})
return {'run', text(fence), unpack(redis.call('HGETALL', key))}
