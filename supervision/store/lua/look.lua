-- look(control, slow, seen, errors; mode, interval_ms, slow_ms, intervals, child) -> {look|duplicate, now, sequence, cautious, not now, doubtful}
-- with pauses
local control, slow, seen, errors = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local mode, interval, slow_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', control, 'look_slot', 'look_sequence', 'resumed', 'looking')
local slot = text(math.floor(now / interval))
if mode == 'slot' and state[1] == slot then return {'duplicate'} end

-- Further off than any mark could be: it is from before the clock was set back.
local function under_way(till) return till and tonumber(till) > now and tonumber(till) <= now + slow_ms end

-- No child has a / in its name: this mark is of the look alone at it.
local alone = '/' .. ARGV[5]
if mode == 'alone' then
  if under_way(redis.call('HGET', slow, alone)) then return {'duplicate'} end
  redis.call('HSET', slow, alone, text(now + slow_ms))
end

local resumed = resume(control, interval) or tonumber(state[3]) or 0
local sequence = grown(state[2])
redis.call('HSET', control, 'look_sequence', text(sequence), 'looked', text(now))
if mode == 'alone' then return {'look', text(now), text(sequence), 0, {}, {}} end
-- Goes with the first word of this look, which names those that are still looked at. If it is there at the next look,
-- a collector died before that, of a child that nobody can name yet.
local cautious = state[4] and 1 or 0
if mode == 'slot' then redis.call('HSET', control, 'look_slot', slot, 'looking', text(sequence)) end

-- Whose time is over without a word: its collector died while it looked at it, and may have died of it.
local not_now, doubtful = {}, {}
for child, till in pairs(hash(slow)) do
  if under_way(till) then not_now[#not_now + 1] = child
  elseif string.sub(child, 1, 1) ~= '/' then doubtful[#doubtful + 1] = child end
end

-- When the last look at it began, with or without success. A failed one left its sequence, which is a time as long as no
-- clock is set back.
local function looked_at(child)
  local good = tonumber(string.match(redis.call('HGET', seen, child) or '', ':(%d+)$')) or 0
  return math.max(good, tonumber(string.match(redis.call('HGET', errors, child) or '', '^%d+')) or 0)
end

-- What was seen before a pause counts no more, nor does what a clock that was set back has yet to reach.
for child, own in pairs(cmsgpack.unpack(ARGV[4])) do
  local last = looked_at(child)
  local counts = last <= now and (last >= resumed or resumed > now)
  if counts and math.floor(last / own) == math.floor(now / own) then not_now[#not_now + 1] = child end
end
return {'look', text(now), text(sequence), cautious, not_now, doubtful}
