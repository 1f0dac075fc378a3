-- look(control, slow; mode, interval_ms) -> {look|duplicate, now, sequence, child under way...}
local control, slow, mode, interval = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local state = redis.call('HMGET', control, 'look_slot', 'look_sequence')
local slot = text(math.floor(now / interval))
if mode == 'slot' and state[1] == slot then return {'duplicate'} end

local sequence = grown(state[2])
redis.call('HSET', control, 'look_sequence', text(sequence))
if mode == 'slot' then redis.call('HSET', control, 'look_slot', slot) end
local answer = {'look', text(now), text(sequence)}
for child, till in pairs(hash(slow)) do
  if tonumber(till) > now then answer[#answer + 1] = child end
end
return answer
