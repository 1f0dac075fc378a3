-- prelude_waits: how a wait ends, once, whoever ends it; for scripts whose first keys are outbox, entries, events, counters
local outbox, entries, events, counters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- Who waits for a signal is not known beforehand, so keys are made here; all of a namespace share its hash tag.
local prefix = string.match(outbox, '^(.*:)outbox$')
local function key(kind, name) return prefix .. kind .. (name and ':' .. name or '') end
local open, deadlines, undelivered, ended = key('open'), key('deadlines'), key('undelivered'), key('ended')

-- A leaf of a wait in an index: its number first, so that whatever else an id contains is never taken for one. 0: the whole.
local function member(leaf, id) return leaf .. '#' .. id end
local function parsed(found)
  local leaf, id = string.match(found, '^(%d+)#(.*)$')
  return tonumber(leaf), id
end

local function wait_event(id, before, after, why, actor)
  event(events, 0, {'kind', 'wait', 'subject', id, 'before', before, 'after', after, 'reason', why, 'attempt', '0',
    'actor', actor or ''})
end

-- A signal that stands: sent, and its time to live not over.
local function latched(name)
  local found = redis.call('HMGET', key('signal', name), 'until', 'id', 'payload')
  return found[1] and tonumber(found[1]) > now and found or nil
end

-- How far a signal has got with a waiter; who watches the signal is told.
local function progress(name, id, state)
  redis.call('HSET', key('receipt', name), id, state)
  redis.call('ZADD', key('signals'), 'GT', text(now + 86400000), name)
  local channel = redis.call('HGET', key('signal', name), 'channel')
  if channel then redis.call('PUBLISH', channel, 'signal:' .. name) end
end

-- Met (true), lost (false), or still open (nil).
local function judged(node, came)
  if type(node) == 'number' then return came[node] end
  local met, lost = 0, 0
  for i = 2, #node do
    local verdict = judged(node[i], came)
    if verdict == true then met = met + 1 elseif verdict == false then lost = lost + 1 end
  end
  if met >= node[1] then return true end
  if #node - 1 - lost < node[1] then return false end
end

-- Takes a leaf out of all indexes: nothing finds this wait by it any more.
local function let_go(id, leaf, i)
  redis.call('ZREM', key('waiters', leaf[1]), member(i, id))
  if leaf[2] ~= '' then redis.call('SREM', key('expecting', leaf[2]), member(i, id)) end
  if leaf[3] > 0 then redis.call('ZREM', deadlines, member(i, id)) end
end

local LATER = {timed_out = 'timed_out', died = 'dead', cancelled = 'cancelled', released = 'cancelled'}

-- Ends a wait that is open. Answers its id and message for whoever goes on with it, nothing for a process, which listens.
local function finish(id, wait, terms, how, why, actor)
  for i, leaf in ipairs(terms.leaves) do
    let_go(id, leaf, i)
    if LATER[how] and not wait['leaf:' .. i] then progress(leaf[1], id, LATER[how]) end
  end
  redis.call('ZREM', deadlines, member(0, id))
  redis.call('ZREM', open, id)
  if terms.parts then redis.call('UNLINK', key('parts', id)) redis.call('ZREM', key('gathers'), id) end
  if terms.owner then redis.call('SREM', key('waits_of', terms.owner), id) end
  wait.state, wait.how, wait.why, wait.ended = 'ended', how, why, text(now)
  redis.call('HSET', key('wait', id), 'state', 'ended', 'how', how, 'why', why, 'ended', text(now))
  redis.call('ZADD', ended, text(now), id)
  if how == 'signalled' and not terms.tree then progress(terms.leaves[1][1], id, 'delivered') end
  wait_event(id, 'waiting', how, why, actor)
  count(counters, 'supervision_waits_ended_total|how=' .. how)
  if how == 'timed_out' then count(counters, 'timeout_events_total') end
  measure(counters, 'blocking_duration_seconds', {'0.1', '1', '10', '60', '300', '1800', '3600', '86400'}, now - tonumber(wait.since))
  if wait.channel then
    redis.call('PUBLISH', wait.channel, 'wait:' .. id)
    return nil
  end
  redis.call('HSET', key('wait', id), 'sent', 1)
  redis.call('ZADD', undelivered, text(now + 5000), id)
  return redis.call('HGET', key('wait', id), 'mail')
end
