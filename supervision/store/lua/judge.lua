-- judge(outbox, entries, events, counters; most, skipped, warning_ms, critical_ms, dead_ms, every_ms, judgements) -> {how many were late, {coordinator that died, expected, why...}, {coordinator, health before, after...}}
-- with waits
local warning, critical, dead, every = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('SET', key('every'), ARGV[6]) -- who registers is told how often to beat, whatever it is configured with
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
  if silent >= dead and times >= tonumber(ARGV[7]) then
    return dies(id, known, 'no heartbeat for ' .. text(silent / 1000) .. ' s')
  end
  health_is(id, known, silent >= critical and 'critical' or 'warning')
end

local function is_back(id) health_is(id, hash(key('coordinator', id)), 'healthy') end
local function stands_still(id) dies(id, hash(key('coordinator', id)), 'it lives and made no progress in its time') end

-- Whoever was late and beats again, `most` of them: looked for in the first slice only, at less than a µs for each.
local was_late, left = ARGV[2] == '0' and redis.call('SMEMBERS', key('late')) or {}, tonumber(ARGV[1])
for first = 1, #was_late, 1000 do
  local last = math.min(first + 999, #was_late)
  for i, beat in ipairs(redis.call('ZMSCORE', beats, unpack(was_late, first, last))) do
    local id = was_late[first + i - 1]
    if left > 0 and beat and now - tonumber(beat) < warning then
      left = left - 1
      contained('coordinator', id, is_back, id)
    end
  end
end
local late = redis.call('ZRANGEBYSCORE', beats, '-inf', text(now - warning), 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[1])
for i = 1, #late, 2 do contained('coordinator', late[i], judged, late[i], late[i + 1]) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', moving, '-inf', text(now), 'LIMIT', 0, ARGV[1])) do
  contained('coordinator', id, stands_still, id)
end
return {#late / 2, died, moved}
