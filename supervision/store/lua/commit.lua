-- commit(control, records, flight, fence, due, outbox, entries, events, counters, incidents, orders, action...; plan) -> {done|again|superseded, entry...}
local control, records, flight = KEYS[1], KEYS[2], KEYS[3]
local due, outbox, entries, events, counters, incidents = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local orders = KEYS[11]
local plan = cmsgpack.unpack(ARGV[1])
local supervisor, answer, next_action = plan.supervisor, {'done'}, 12

if redis.call('HGET', control, 'epoch') ~= text(plan.epoch) then
  count(counters, 'supervisor_writes_refused_total|supervisor=' .. supervisor .. '|script=commit')
  return {'superseded'}
end

local function release() redis.call('HSET', control, 'lease_until', '0') end

local function wake_up()
  answer[#answer + 1] = dirty(control, outbox, entries, supervisor)
  answer[1] = 'again'
end

-- The circuit and its probe are one decision: if somebody took the child's slot meanwhile, decide again from the start.
if plan.probe ~= '' and redis.call('HEXISTS', flight, plan.probe) == 1 then
  release() wake_up() return answer
end

local function record(fields)
  event(events, plan.epoch, {'kind', fields[1], 'subject', fields[2], 'reason', fields[3], 'before', fields[4],
    'after', fields[5], 'attempt', fields[6], 'actor', 'tick'})
  -- For `finish`: which actions were in flight when it opened.
  if fields[1] == 'circuit' and fields[4] == 'closed' then redis.call('HSET', control, 'opened', text(now)) end
  if fields[1] == 'unobservable' then redis.call('HSET', incidents, fields[2], text(now))
  elseif fields[1] == 'observable' then redis.call('HDEL', incidents, fields[2]) end
end

if plan.circuit ~= '' then
  redis.call('HSET', control, 'circuit', plan.circuit)
  if plan.incident_since > 0 then redis.call('HSET', incidents, supervisor, text(plan.incident_since))
  else redis.call('HDEL', incidents, supervisor) end
end
-- What a move allows next (the first probe, derivation after it closed) is due at once, not an interval later.
if plan.again then redis.call('HINCRBY', control, 'dirty', 1) end
for field, value in pairs(plan.heard) do -- what was ordered since then is another order
  if redis.call('HGET', orders, field) == value then redis.call('HDEL', orders, field) end
end
for _, fields in ipairs(plan.events) do record(fields) end
for _, name in ipairs(plan.counters) do count(counters, name) end

local moved, written = {}, {}
for _, update in ipairs(plan.updates) do
  local wish = update.reservation
  local action = wish and KEYS[next_action]
  if wish then next_action = next_action + 1 end
  if wish and redis.call('HEXISTS', flight, update.child) == 1 then
    -- Grown past what this plan has seen, so that its last slice answers `again`, whichever slice was refused.
    redis.call('HINCRBY', control, 'dirty', 1)
  else
    written[#written + 1] = update.child
    written[#written + 1] = update.record
    for _, fields in ipairs(update.events) do
      record(fields)
      if fields[1] == 'state' then
        local name = 'supervisor_transitions_total' .. labels(counters, supervisor, update.child) .. '|state=' .. fields[5]
        moved[name] = (moved[name] or 0) + 1
      end
    end
    local look = supervisor .. '/' .. update.child
    if update.look then answer[#answer + 1] = enqueue(outbox, entries, 'look:' .. look .. ':' .. text(plan.epoch), 'look', look) end
    answer[#answer + 1] = wish and reserve({flight = flight, action = action, due = due, outbox = outbox,
      entries = entries, events = events, counters = counters}, supervisor, wish, 'tick', plan.epoch) or nil
  end
end

if #written > 0 then redis.call('HSET', records, unpack(written)) end
for name, times in pairs(moved) do count(counters, name, times) end
if plan.last then
  redis.call('HSET', control, 'clean', plan.dirty)
  release()
  if (tonumber(redis.call('HGET', control, 'dirty')) or 0) > plan.dirty then wake_up() end
elseif plan.unread then release() end -- nothing was decided, and what was dirty still is
return answer
