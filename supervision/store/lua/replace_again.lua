-- replace_again(outbox, entries, events, counters; most) -> {{coordinator, replacing|unreplaced, why}...} whose replacement has not registered in its time
-- with waits
local MOST_SENT = 5 -- as often as anything is tried here; what never registers after that is poison
local replacing, answer = key('replacing'), {}

local function told(id, after, why)
  coordinator_event(id, 'replacing', after, why, 'liveness')
  answer[#answer + 1] = {id, after, why}
end

local function late(id, incarnation, times)
  if redis.call('ZSCORE', outbox, 'replace:' .. id .. ':' .. incarnation) then -- no broker has had it: it is not late
    return send_replacement(id, incarnation, times)
  end
  if times < MOST_SENT then
    send_replacement(id, incarnation, times + 1)
    return told(id, 'replacing', 'who replaces it has not registered; sent for time ' .. times + 1)
  end
  local why = ', and who was to replace it was sent for ' .. MOST_SENT .. ' times and has not registered'
  redis.call('ZREM', replacing, id)
  redis.call('HSET', key('coordinator', id), 'in_vain', why)
  leave_behind(id)
  told(id, 'unreplaced', 'who was to replace it was sent for ' .. MOST_SENT .. ' times and has not registered')
end

local function looked_after(id)
  local known = redis.call('HMGET', key('coordinator', id), 'incarnation', 'replaced', 'replacements')
  if known[2] and known[2] == known[1] and redis.call('EXISTS', key('expecting', id)) == 1 then
    late(id, known[1], tonumber(known[3]) or 0)
  else
    redis.call('ZREM', replacing, id) -- nobody waits for it any more
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', replacing, '-inf', text(now), 'LIMIT', 0, ARGV[1])) do
  contained('coordinator', id, looked_after, id)
end
return answer
