-- requeue(action, due, outbox, entries, events, control, flight; id, look_again_ms, supervisor) -> {queued, entry} | {lost, entry} | {left, state}
local key, due, outbox, entries, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, action = ARGV[1], hash(KEYS[1])
local look = tonumber(redis.call('ZSCORE', due, id))
-- Its record is gone, so that nobody will ever end it: whose slot it holds is free again, and looked at anew.
if not action.state then
  redis.call('ZREM', due, id)
  for child, taken in pairs(hash(KEYS[7])) do
    if taken == id then
      redis.call('HDEL', KEYS[7], child)
      event(events, 0, {'kind', 'lost', 'subject', ARGV[3] .. '/' .. child, 'before', '', 'after', '', 'reason',
        'the record of its action ' .. id .. ' is gone: how it ended is not known', 'action', id, 'attempt', '0',
        'actor', 'sweep'})
      return {'lost', dirty(KEYS[6], outbox, entries, ARGV[3])}
    end
  end
end
if (action.state ~= 'retrying' and action.state ~= 'queued') or not look or look > now then
  return {'left', action.state or 'gone'}
end

if action.state == 'retrying' then
  event(events, 0, {'kind', 'action', 'subject', action.supervisor .. '/' .. action.child, 'before', 'retrying',
    'after', 'queued', 'reason', action.name, 'action', id, 'attempt', action.attempt, 'actor', action.actor})
end
local sent = redis.call('HINCRBY', key, 'sent', 1)
redis.call('HSET', key, 'state', 'queued')
redis.call('ZADD', due, text(now + tonumber(ARGV[2])), id)
return {'queued', enqueue(outbox, entries, 'act:' .. id .. ':' .. sent, 'act', id, tonumber(action.timeout_ms))}
