-- claim(control, counters; supervisor, mode, interval_ms, lease_ms) -> {claimed|busy|duplicate, epoch, now, dirty}
local control, counters = KEYS[1], KEYS[2]
local supervisor, mode, interval, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', control, 'epoch', 'lease_until', 'slot', 'dirty', 'clean')
local epoch, lease_until, slot = tonumber(state[1]) or 0, tonumber(state[2]) or 0, math.floor(now / interval)
local version, clean = tonumber(state[4]) or 0, tonumber(state[5]) or 0

local function answer(outcome)
  count(counters, 'supervisor_ticks_total|supervisor=' .. supervisor .. '|outcome=' .. outcome)
  return {outcome, text(epoch), text(now), version}
end

-- A slot is done when it is this very one: after the clock was set back, lower slots are new ones.
if mode == 'slot' and text(slot) == state[3] then return answer('duplicate') end
if mode == 'dirty' and version == clean then return answer('duplicate') end
-- A lease that ends later than any lease could is from before the clock was set back.
if lease_until > now and lease_until <= now + lease then return answer('busy') end

epoch = grown(epoch)
redis.call('HSET', control, 'epoch', text(epoch), 'lease_until', text(now + lease), 'waking', '0')
if mode == 'slot' then redis.call('HSET', control, 'slot', text(slot)) end
return answer('claimed')
