-- finish(action, flight, last, due, control, outbox, entries, events, counters; id, fence, outcome, error, retry, delay_ms, keep_s, probe_lease_ms, most_hand_backs, result) -> {succeeded|failed|retrying|late|alive, entry}
local key, flight, last, due, control = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local outbox, entries, events, counters = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local id, fence, outcome, why = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local retry, delay, keep = ARGV[5] == '1', tonumber(ARGV[6]), ARGV[7]
local most_hand_backs, result = tonumber(ARGV[9]), ARGV[10]
local action = hash(key)

-- Said again by a run that did not hear the first answer.
local again = {succeeded = {succeeded = true}, failed = {failed = true, retrying = true}}
again.interrupted = again.failed
if action.fence == fence and again[outcome] and again[outcome][action.state] then return {action.state} end
local before = outcome == 'expired' and 'queued' or 'running'
if action.state ~= before or action.fence ~= fence then
  count(counters, 'supervisor_actions_late_total|supervisor=' .. (action.supervisor or ''))
  return {'late'}
end
-- A sweep found it overdue, but that may have been the wait before this very run: it is dead only when its time is over.
if outcome == 'dead' then
  if (tonumber(redis.call('ZSCORE', due, id)) or 0) > now then return {'alive'} end
  outcome = 'failed'
elseif outcome == 'expired' then
  if now - tonumber(action.created) <= tonumber(ARGV[8]) then return {'alive'} end
  outcome = 'failed'
end
local attempt, handed = tonumber(action.attempt), tonumber(action.handed) or 0
-- A worker that was told to stop hands its run back, which costs the action nothing; but not for ever, because an action
-- that ends its own process looks the same.
if outcome == 'interrupted' then
  outcome = 'failed'
  if handed < most_hand_backs then
    outcome, delay = 'retrying', 0
    redis.call('HSET', key, 'handed', handed + 1)
  end
end
if outcome == 'failed' and retry and attempt - handed <= tonumber(action.retries) then outcome = 'retrying' end

event(events, 0, {'kind', 'action', 'subject', action.supervisor .. '/' .. action.child, 'before', before,
  'after', outcome, 'reason', why == '' and action.name or action.name .. ': ' .. why, 'action', id,
  'attempt', tostring(attempt), 'actor', action.actor})
redis.call('HSET', key, 'state', outcome, 'error', why)
if outcome == 'retrying' then
  redis.call('ZADD', due, text(now + delay), id)
  return {'retrying'}
end

redis.call('ZREM', due, id)
redis.call('HSET', key, 'ended', text(now), 'result', result)
redis.call('EXPIRE', key, keep)
if redis.call('HGET', flight, action.child) == id then redis.call('HDEL', flight, action.child) end
local ended = cjson.encode({id = id, name = action.name, outcome = outcome, ended = now, attempt = attempt, error = why})
-- As it is, not through Lua: that would turn an empty list into a mapping, and round large numbers.
if result ~= '' then ended = string.sub(ended, 1, -2) .. ',"result":' .. result .. '}' end
redis.call('HSET', last, action.child, ended)

local of_type = '|action_type=' .. action.name
local of_all = '|supervisor=' .. action.supervisor .. of_type
count(counters, 'supervisor_actions_completed_total' .. labels(counters, action.supervisor, action.child) .. of_type
  .. '|status=' .. outcome)
if action.started then
  measure(counters, 'supervisor_action_duration_seconds' .. of_all, {'0.1', '0.5', '1', '5', '10', '30', '60'},
    now - tonumber(action.started))
end
-- A circuit opened while it was in flight. An opening in the future is from before the clock was set back.
local opened = tonumber(redis.call('HGET', control, 'opened')) or 0
if opened > tonumber(action.created) and opened <= now then
  count(counters, 'supervisor_actions_during_circuit_total' .. of_all)
  measure(counters, 'supervisor_action_post_circuit_duration_seconds' .. of_all, {'1', '5', '10', '30', '60'}, now - opened)
end
return {outcome, dirty(control, outbox, entries, action.supervisor)}
