-- prelude: what every script shares; time, growing numbers, history, counters, outbox, wake-ups, reservations
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function text(number) return string.format('%.0f', number) end

-- Growing across a failover that lost the last writes: never below the clock.
local function grown(last) return math.max((tonumber(last) or 0) + 1, now) end

local function hash(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function count(counters, name, by) redis.call('HINCRBY', counters, name, by or 1) end

-- The labels of one child's counts. Its path is one of them only if `meters.per_child` asked for it.
local per_child
local function labels(counters, supervisor, child)
  if per_child == nil then per_child = redis.call('HGET', counters, '|per_child') == '1' end
  local own = per_child and '|worker_id=' .. supervisor .. '/' .. child
  return '|supervisor=' .. supervisor .. (own or '')
end

-- One duration: into its own bucket only (whoever reads adds them up), and into the sum, in whole milliseconds.
local function measure(counters, name, bounds, ms)
  local bucket, lasted = '+Inf', math.max(ms, 0)
  for i = #bounds, 1, -1 do bucket = lasted <= tonumber(bounds[i]) * 1000 and bounds[i] or bucket end
  count(counters, name .. '|le=' .. bucket)
  count(counters, name .. '|sum=ms', text(lasted))
end

local at = text(now)
local function event(events, epoch, fields)
  redis.call('XADD', events, '*', 'at', at, 'epoch', text(epoch or 0), unpack(fields))
end

-- An entry is the message to send and all that is needed to send it; its id says what for, so that two are one.
local function enqueue(outbox, entries, id, kind, subject, timeout_ms, delay_ms)
  local entry = cjson.encode({id, kind, subject, timeout_ms or 0, delay_ms or 0})
  redis.call('ZADD', outbox, text(now), id)
  redis.call('HSET', entries, id, entry)
  return entry
end

-- Sends a wake-up for the moment `woken`, by which the next ones are timed.
local function wake(control, outbox, entries, supervisor, version, delay_ms)
  redis.call('HSET', control, 'woken', text(now + delay_ms))
  return enqueue(outbox, entries, 'tick:' .. supervisor .. ':' .. text(version), 'tick', supervisor, 0, delay_ms)
end

-- Marks the supervisor dirty. Sends one wake unless one is on its way or a tick is at work, whose commit will see it.
-- Wakes are 50 ms apart: what changes sooner is for the next one.
local function dirty(control, outbox, entries, supervisor)
  local version = redis.call('HINCRBY', control, 'dirty', 1)
  local state = redis.call('HMGET', control, 'waking', 'lease_until', 'woken')
  if state[1] == '1' or (tonumber(state[2]) or 0) > now then return nil end
  redis.call('HSET', control, 'waking', '1')
  local left = (tonumber(state[3]) or 0) + 50 - now
  if left < 0 or left > 50 then left = 0 end -- a wake-up in the future is from before the clock was set back
  return wake(control, outbox, entries, supervisor, version, left)
end

-- The child's only slot, the action's record, when a sweep must look, and the message: all or nothing.
local function reserve(keys, supervisor, wish, actor, epoch)
  redis.call('HSET', keys.flight, wish.child, wish.id)
  redis.call('HSET', keys.action, 'id', wish.id, 'supervisor', supervisor, 'child', wish.child, 'name', wish.action,
    'params', wish.params, 'reason', wish.reason, 'incident', wish.incident, 'actor', actor, 'state', 'queued',
    'attempt', 0, 'retries', wish.retries, 'timeout_ms', wish.timeout_ms, 'fence', 0, 'created', text(now), 'sent', 1)
  redis.call('ZADD', keys.due, text(now + wish.look_again_ms), wish.id)
  count(keys.counters, 'supervisor_actions_enqueued_total' .. labels(keys.counters, supervisor, wish.child)
    .. '|action_type=' .. wish.action)
  event(keys.events, epoch, {'kind', 'action', 'subject', supervisor .. '/' .. wish.child, 'before', '', 'after', 'queued',
    'reason', wish.action .. ': ' .. wish.reason, 'action', wish.id, 'attempt', '0', 'actor', actor})
  return enqueue(keys.outbox, keys.entries, 'act:' .. wish.id .. ':1', 'act', wish.id, wish.timeout_ms)
end
