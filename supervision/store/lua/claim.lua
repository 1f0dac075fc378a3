-- claim(control, counters; supervisor, mode, interval_ms, lease_ms, server, hung_lease_ms) -> {claimed|busy|duplicate, epoch, now, dirty, resumed}
-- with pauses
local control, counters = KEYS[1], KEYS[2]
local supervisor, mode, interval, lease, server = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local state = redis.call('HMGET', control, 'epoch', 'lease_until', 'slot', 'dirty', 'clean', 'waking', 'woken', 'claimed',
  'server', 'resumed', 'unsettled')
local epoch, lease_until, slot = tonumber(state[1]) or 0, tonumber(state[2]) or 0, math.floor(now / interval)
local version, clean = tonumber(state[4]) or 0, tonumber(state[5]) or 0
local woken, last, resumed = tonumber(state[7]) or 0, tonumber(state[8]), tonumber(state[10]) or 0

local function answer(outcome)
  count(counters, 'supervisor_ticks_total|supervisor=' .. supervisor .. '|outcome=' .. outcome)
  return {outcome, text(epoch), text(now), version, text(resumed <= now and resumed or 0)}
end

-- Whatever it finds, the wake-up that was on its way has come: the next change needs another one.
if mode == 'dirty' and state[6] == '1' then redis.call('HSET', control, 'waking', '0') end
-- A slot is done when it is this very one: after the clock was set back, lower slots are new ones.
if mode == 'slot' and text(slot) == state[3] then return answer('duplicate') end
if mode == 'dirty' and version == clean then return answer('duplicate') end
-- A lease that ends later than any lease could is from before the clock was set back.
if lease_until > now and lease_until <= now + tonumber(ARGV[6]) then return answer('busy') end

-- How many claims in a row were not settled: ticks hang, see HUNG_LEASE_MS.
local unsettled = lease_until > 0 and (tonumber(state[11]) or 0) + 1 or 0
if unsettled >= 2 then lease = tonumber(ARGV[6]) end

resumed = resume(control, interval) or resumed
epoch = grown(epoch)
redis.call('HSET', control, 'epoch', text(epoch), 'lease_until', text(now + lease), 'claimed', text(now),
  'unsettled', unsettled)
if mode == 'slot' then
  redis.call('HSET', control, 'slot', text(slot))
  -- A version of its own, which its commit settles: if it dies, somebody is missing, and `rewake` sees it.
  version = redis.call('HINCRBY', control, 'dirty', 1)
  -- A wake-up that is still to come will find what changes until then; any other one is lost, or finds nothing to do.
  if woken <= now or woken > now + 50 then redis.call('HSET', control, 'waking', '0') end
else
  redis.call('HSET', control, 'woken', text(now))
end

-- On another server whoever decides must look first, as after a pause. A very first claim goes on from nothing.
if last and server ~= '' and state[9] and state[9] ~= server then
  resumed = now
  redis.call('HSET', control, 'resumed', text(now))
end
if server ~= '' then redis.call('HSET', control, 'server', server) end
return answer('claimed')
