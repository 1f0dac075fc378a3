-- prelude_damage: a record that cannot be read, or goes wrong, stops no other one; stands after prelude_waits

-- What a server refuses for a reason of its own, whatever the record is like: that is for whoever runs the script.
local REFUSALS = {'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS'}

-- How each kind of record is taken out of what would find it again and again; it is kept for people to look
-- at: a wait as long as any dead letter, 7 days, a coordinator for one.
local set_aside = {}

function set_aside.wait(id, why)
  for _, index in ipairs({open, undelivered, key('gathers')}) do redis.call('ZREM', index, id) end
  redis.call('ZREM', deadlines, member(0, id))
  redis.call('ZADD', ended, text(now), id)
  redis.call('ZADD', key('dead_letters'), text(now), 'wait:' .. id)
  -- So that a process that waits is told, and nobody retries it.
  redis.pcall('HSET', key('wait', id), 'state', 'dead_letter', 'damaged', '1', 'why', why)
end

function set_aside.signal(id) redis.call('ZREM', key('signals'), id) end

-- Does `work` for one record and answers what that does, up to two values; nothing where the record is damaged, which
-- is told. What was done of it until then stays done, as in any script.
local function contained(of, id, work, ...)
  local well, answer, second = pcall(work, ...)
  if well then return answer, second end
  local why = type(answer) == 'table' and answer.err or tostring(answer)
  for _, refusal in ipairs(REFUSALS) do
    if string.find(why, refusal, 1, true) then error({err = why}, 0) end
  end
  why = 'its record is damaged: ' .. string.sub(why, 1, 200)
  set_aside[of](id, why)
  count(counters, 'supervision_damaged_records_total|of=' .. of)
  event(events, 0, {'kind', of, 'subject', id, 'before', '', 'after', 'damaged', 'reason', why, 'attempt', '0', 'actor', ''})
end
