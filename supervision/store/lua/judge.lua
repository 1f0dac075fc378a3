-- judge(outbox, entries, events, counters; most, cursor, left, warning_ms, critical_ms, dead_ms, every_ms, judgements) -> {1 if there are more, cursor, left, {coordinator that died, expected, why...}, {coordinator, health before, after...}}
-- with waits
local warning, critical, dead, every = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
redis.call('SET', key('every'), ARGV[7]) -- who registers is told how often to beat, whatever it is configured with
local slot, died = text(math.floor(now / every)), {}
local moved = {}

local function append(list, ...) for _, each in ipairs({...}) do list[#list + 1] = each end end

local function dies(id, known, why)
  local ended, expected = end_coordinator(id, known, 'dead', why, 'liveness')
  if ended then append(died, id, expected and '1' or '0', why) end
end

local function health_is(id, known, health)
  if (known.health or 'healthy') == health then return end
  redis.call('HSET', key('coordinator', id), 'health', health)
  if health == 'healthy' then redis.call('SREM', key('late'), id) else redis.call('SADD', key('late'), id) end
  stands_as(id, health)
  if not known.health or known.health == 'healthy' then count(counters, 'heartbeat_failures_total') end
  append(moved, id, known.health or 'healthy', health)
  coordinator_event(id, known.health or 'healthy', health, 'judged by its last heartbeat', 'liveness')
end

-- So many judgements in a row, each in a slot of its own, have to find the same silence: a clock that jumps is one of them.
local function judged(id, beat)
  local known = hash(key('coordinator', id))
  if known.judged == slot then return end
  local times = known.silent == beat and tonumber(known.times) + 1 or 1
  redis.call('HSET', key('coordinator', id), 'judged', slot, 'silent', beat, 'times', times)
  local silent = now - tonumber(beat)
  if silent >= dead and times >= tonumber(ARGV[8]) then
    return dies(id, known, 'no heartbeat for ' .. text(silent / 1000) .. ' s')
  end
  health_is(id, known, silent >= critical and 'critical' or 'warning')
end

local function is_back(id)
  redis.call('SREM', key('late'), id) -- whatever its record says, or it would be looked at for ever
  health_is(id, hash(key('coordinator', id)), 'healthy')
end
-- Of whoever was not heard since its time was over nobody knows: the store may have been away, or its beat is to come.
local function stands_still(id)
  local beat, moves_until = redis.call('ZSCORE', beats, id), redis.call('ZSCORE', moving, id)
  if beat and tonumber(beat) <= tonumber(moves_until) then return end
  dies(id, hash(key('coordinator', id)), 'it lives and made no progress in its time')
end

-- Whoever was late and beats again: some of the late ones, wherever the one before stopped looking.
local cursor, left, most = ARGV[2], ARGV[3], tonumber(ARGV[1])
if cursor ~= '' then
  local next_cursor, was_late = unpack(redis.call('SSCAN', key('late'), cursor, 'COUNT', most))
  local back = 0 -- a set of few, or of numbers, is answered whole: the others of it when asked once more
  for i, beat in ipairs(#was_late > 0 and redis.call('ZMSCORE', beats, unpack(was_late)) or {}) do
    if beat and now - tonumber(beat) < warning then
      if back == most then break end
      back = back + 1
      contained('coordinator', was_late[i], is_back, was_late[i])
    end
  end
  if back < most then cursor = next_cursor ~= '0' and next_cursor or '' end
end
-- From the last of the late ones to the first: ranks only fall, by deaths and by those who beat again, so none is missed.
-- By rank, as an offset into those below a score is counted one by one.
left = left == '' and redis.call('ZCOUNT', beats, '-inf', text(now - warning)) or tonumber(left)
if left > 0 then
  local first = math.max(left - most, 0)
  local late = redis.call('ZRANGE', beats, first, left - 1, 'WITHSCORES')
  for i = 1, #late, 2 do
    if now - tonumber(late[i + 1]) >= warning then contained('coordinator', late[i], judged, late[i], late[i + 1]) end
  end
  left = first
end
local silent = #died
for _, id in ipairs(redis.call('ZRANGEBYSCORE', moving, '-inf', text(now), 'LIMIT', 0, most)) do
  contained('coordinator', id, stands_still, id)
end
local more = cursor ~= '' or left > 0 or (#died - silent) / 3 >= most
return {more and 1 or 0, cursor, left, died, moved}
