-- look(control, slow; mode, interval_ms, slow_ms) -> {look|duplicate, now, sequence, child under way...}
local control, slow, mode, interval = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local state = redis.call('HMGET', control, 'look_slot', 'look_sequence')
local slot = text(math.floor(now / interval))
if mode == 'slot' and state[1] == slot then return {'duplicate'} end

local sequence = grown(state[2])
redis.call('HSET', control, 'look_sequence', text(sequence))
if mode == 'slot' then redis.call('HSET', control, 'look_slot', slot) end
local answer = {'look', text(now), text(sequence)}
for child, till in pairs(hash(slow)) do
  -- Further off than any mark could be: it is from before the clock was set back.
  if tonumber(till) > now and tonumber(till) <= now + tonumber(ARGV[3]) then answer[#answer + 1] = child end
end
return answer
