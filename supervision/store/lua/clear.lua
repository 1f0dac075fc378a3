-- clear(outbox, entries, events, counters; most, keep_ms) -> {{wait...}, {signal...}, {coordinator...}} removed, each `most` at most
-- with waits
local most, keep = ARGV[1], tonumber(ARGV[2])
local function past(registry, until_) return redis.call('ZRANGEBYSCORE', registry, '-inf', text(until_), 'LIMIT', 0, most) end

local dead_letters, WEEK = key('dead_letters'), 7 * 86400000
-- A task that was never gone on with is still to be, however long no worker was there; a dead letter waits for a person.
local function still_wanted(id, wait)
  if wait.state == 'dead_letter' then return now - tonumber(redis.call('ZSCORE', dead_letters, 'wait:' .. id) or 0) < WEEK end
  return wait.mail and (wait.state == 'ended' or wait.state == 'received')
end

-- Answers false where it is kept.
local function forgotten(id)
  local wait = brief(id)
  if still_wanted(id, wait) then
    redis.call('ZADD', ended, text(now), id)
    return false
  end
  if wait.state and wait.state ~= 'processed' then -- which a process has never fetched, or a person never retried
    local terms = terms_of(wait)
    took(terms)
    quits(wait, terms)
    receipts(id, wait, terms, 'dead')
  end
  return true
end

local function remove(id)
  redis.call('DEL', key('wait', id))
  redis.call('UNLINK', key('results', id), key('parts', id)) -- the latter of a damaged one only
  redis.call('ZREM', ended, id)
  redis.call('ZREM', undelivered, id)
  redis.call('ZREM', dead_letters, 'wait:' .. id)
end

local waits, signals = {}, {}
for _, id in ipairs(past(ended, now - keep)) do
  if slice_is_full() then break end
  if contained('wait', id, forgotten, id) ~= false then -- a damaged one, too, has had its day
    waits[#waits + 1] = id
    remove(id)
  end
end

local function look_at(name)
  local known = redis.call('HMGET', key('signal', name), 'owed', 'until')
  if tonumber(known[1] or 0) > 0 or tonumber(known[2] or 0) > now or redis.call('EXISTS', key('waiters', name)) == 1 then
    redis.call('ZADD', key('signals'), text(now + keep), name)
  else
    signals[#signals + 1] = name
    redis.call('UNLINK', key('signal', name), key('receipt', name)) -- a receipt may tell of 100,000
    redis.call('ZREM', key('signals'), name)
  end
end

for _, name in ipairs(past(key('signals'), now)) do contained('signal', name, look_at, name) end

local gone = past(key('coordinators'), now)
for _, id in ipairs(gone) do
  redis.call('DEL', key('coordinator', id))
  redis.call('ZREM', key('coordinators'), id)
  stands_as(id, 'forgotten')
end
return {waits, signals, gone}
