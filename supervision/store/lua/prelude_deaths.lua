-- prelude_deaths: how a coordinator ends, once, whoever finds out; stands after prelude_begin
local beats, moving = key('beats'), key('moving')

local function coordinator_event(id, before, after, why, actor)
  event(events, 0, {'kind', 'coordinator', 'subject', id, 'before', before, 'after', after, 'reason', why, 'attempt', '0',
    'actor', actor or ''})
end

-- Counted for the metrics: every coordinator is in one of these sets, or in none while it is healthy or late.
local function stands_as(id, state)
  for _, each in ipairs({'critical', 'complete', 'failed', 'dead'}) do
    redis.call(each == state and 'SADD' or 'SREM', key('state', each), id)
  end
end

-- Whether a failover has taken the record of instance `mine`, or all that was newer than an older instance's.
local function lost(known, mine) return not known or (tonumber(known) or math.huge) < tonumber(mine) end

-- Those who expect it are told by `mourn`, in slices: there may be many. Answers whether there are any.
local function leave_behind(id)
  local expecting, mourners = key('expecting', id), key('mourners', id)
  if redis.call('EXISTS', expecting) == 0 then return false end
  -- By name, as there may be many; one by one only where an earlier death has not been told to all.
  if redis.call('RENAMENX', expecting, mourners) == 0 then
    redis.call('SUNIONSTORE', mourners, mourners, expecting)
    redis.call('UNLINK', expecting)
  end
  redis.call('ZADD', key('mourning'), text(now), id)
  -- Whose death it was: another instance may have come before all are told.
  local known = redis.call('HMGET', key('coordinator', id), 'incarnation', 'state', 'why')
  redis.call('HSET', key('coordinator', id), 'died_as', known[1], 'died_of', 'is ' .. known[2] .. ': ' .. known[3])
  return true
end

-- A damaged one counts as dead: whoever expects it waits in vain, as far as anybody can tell.
function set_aside.coordinator(id, why)
  for _, index in ipairs({beats, moving, key('replacing')}) do redis.call('ZREM', index, id) end
  redis.call('SREM', key('late'), id)
  redis.call('ZADD', key('coordinators'), text(now + 86400000), id)
  local known = redis.pcall('HMGET', key('coordinator', id), 'state', 'process')
  if known.err or not known[1] then return end
  redis.call('HSET', key('coordinator', id), 'state', 'dead', 'why', why, 'ended', text(now))
  stands_as(id, 'dead')
  if known[2] then redis.call('SREM', key('process', known[2]), id) end
  pcall(leave_behind, id)
end

-- Ends a coordinator that has not ended; answers whether it was this call that did, and whether somebody expects it.
local function end_coordinator(id, known, state, why, actor)
  if not known.state or known.state == 'dead' or known.state == 'complete' or known.state == 'failed' then return false end
  redis.call('HSET', key('coordinator', id), 'state', state, 'why', why, 'ended', text(now))
  redis.call('ZREM', beats, id)
  redis.call('ZREM', moving, id)
  redis.call('SREM', key('late'), id)
  stands_as(id, state)
  redis.call('SREM', key('process', known.process), id)
  redis.call('ZADD', key('coordinators'), text(now + 86400000), id)
  coordinator_event(id, known.state, state, why, actor)
  count(counters, 'supervision_coordinators_ended_total|how=' .. state)
  return true, state ~= 'complete' and leave_behind(id)
end
