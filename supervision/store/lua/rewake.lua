-- rewake(outbox, entries, control...; patience_ms, lease_ms, supervisor...) -> {supervisor, entry or '' when it cannot be read...}
local outbox, entries, patience, lease = KEYS[1], KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = {}

local function ago(moment) -- and one in the future is from before the clock was set back
  moment = tonumber(moment) or 0
  return moment <= now + lease and now - moment or now
end

local function rewake(control, supervisor)
  local state = redis.call('HMGET', control, 'dirty', 'clean', 'lease_until', 'claimed', 'woken', 'rewoken')
  local version, clean = tonumber(state[1]) or 0, tonumber(state[2]) or 0
  if version <= clean then return end
  -- The wake-ups that were sent for what was not settled since; each one makes the next wait twice as long.
  local settled, times = string.match(state[6] or '', '^(%d+):(%d+)$')
  times = settled == text(clean) and tonumber(times) or 0
  local quiet = math.min(ago(state[4]), ago(state[5]))
  if quiet < patience / 2 then return end
  -- Due when the last one had its time and nobody may be at work. Half a patience ahead, so that it need not wait for
  -- the next sweep: when nothing was missing the message finds nothing to do.
  local due = math.max(patience * 2 ^ math.min(times, 6) - quiet, -ago(state[3]))
  if due > patience then return end
  redis.call('HSET', control, 'rewoken', text(clean) .. ':' .. text(times + 1))
  -- Not marked as waking: a change until then needs no such wait, and sends its own.
  answer[#answer + 1] = supervisor
  answer[#answer + 1] = wake(control, outbox, entries, supervisor, version, math.max(due, 0))
end

for i = 3, #KEYS do
  local readable = redis.pcall('HLEN', KEYS[i])
  if type(readable) == 'number' then rewake(KEYS[i], ARGV[i])
  else
    answer[#answer + 1] = ARGV[i]
    answer[#answer + 1] = ''
  end
end
return answer
