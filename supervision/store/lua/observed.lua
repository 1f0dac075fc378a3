-- observed(control, observed, seen, errors, slow, outbox, entries, events, counters, gone; supervisor, sequence, at, looks, slow, slow_ms, declared) -> {changed, entry}
local control, observed, seen, errors, slow = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local outbox, entries, events, counters = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local supervisor, sequence, at = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if redis.call('HGET', control, 'looking') == text(sequence) then redis.call('HDEL', control, 'looking') end
local changed, mark = 0, ARGV[2] .. ':' .. at

-- Nothing brings back the documents of a child that was removed; a declared one may have the name of one that was.
local declared = {}
for _, child in ipairs(cmsgpack.unpack(ARGV[7])) do declared[child] = true end
local function removed(child) return not declared[child] and redis.call('HEXISTS', KEYS[10], child) == 1 end

local function failed(child, why)
  local known = redis.call('HGET', errors, child)
  redis.call('HSET', errors, child, ARGV[2] .. ':' .. why)
  if known then return end -- one event per stretch of failures: the reason may differ at every look
  event(events, 0, {'kind', 'observation', 'subject', supervisor .. '/' .. child, 'before', '', 'after', 'failed',
    'reason', why, 'attempt', '0', 'actor', 'collector'})
end

local function good(child, document)
  redis.call('HSET', seen, child, mark)
  if redis.call('HDEL', errors, child) == 1 then
    event(events, 0, {'kind', 'observation', 'subject', supervisor .. '/' .. child, 'before', 'failed', 'after', 'good',
      'reason', 'observed again', 'attempt', '0', 'actor', 'collector'})
  end
  if redis.call('HGET', observed, child) ~= document then
    redis.call('HSET', observed, child, document)
    changed = changed + 1
  end
end

local function newest(child)
  local newer = 0
  for _, marks in ipairs({seen, errors}) do
    newer = math.max(newer, tonumber(string.match(redis.call('HGET', marks, child) or '', '^%d+')) or 0)
  end
  return newer
end

for _, look in ipairs(cmsgpack.unpack(ARGV[4])) do
  local child, document, why = look[1], look[2], look[3]
  redis.call('HDEL', slow, child, '/' .. child)
  if removed(child) or newest(child) >= sequence then
    count(counters, 'supervisor_observations_refused_total|supervisor=' .. supervisor)
  elseif why ~= '' then failed(child, why)
  else good(child, document) end
end
for _, child in ipairs(cmsgpack.unpack(ARGV[5])) do
  if not removed(child) then redis.call('HSET', slow, child, text(now + tonumber(ARGV[6]))) end
end

if changed == 0 then return {0} end
return {changed, dirty(control, outbox, entries, supervisor)}
