-- clear(outbox, entries, events, counters; most, keep_ms) -> {waits, signals, coordinators} removed, each `most` at most
-- with waits
local most, keep = ARGV[1], tonumber(ARGV[2])
local function past(registry, until_) return redis.call('ZRANGEBYSCORE', registry, '-inf', text(until_), 'LIMIT', 0, most) end

-- A wait that a process has never fetched owes its signal an answer no longer.
local waits = past(ended, now - keep)
for _, id in ipairs(waits) do
  local wait = hash(key('wait', id))
  if wait.state == 'ended' and wait.how == 'signalled' then
    local terms = terms_of(wait)
    if not terms.tree then redis.call('HINCRBY', key('signal', terms.leaves[1][1]), 'owed', -1) end
    receipts(id, wait, terms, 'dead')
  end
  redis.call('DEL', key('wait', id))
  redis.call('UNLINK', key('results', id))
  redis.call('ZREM', ended, id)
  redis.call('ZREM', undelivered, id)
  redis.call('ZREM', key('dead_letters'), 'wait:' .. id)
end

local signals = 0
for _, name in ipairs(past(key('signals'), now)) do
  local known = redis.call('HMGET', key('signal', name), 'owed', 'until')
  if tonumber(known[1] or 0) > 0 or tonumber(known[2] or 0) > now or redis.call('EXISTS', key('waiters', name)) == 1 then
    redis.call('ZADD', key('signals'), text(now + keep), name)
  else
    signals = signals + 1
    redis.call('DEL', key('signal', name), key('receipt', name))
    redis.call('ZREM', key('signals'), name)
  end
end

local gone = past(key('coordinators'), now)
for _, id in ipairs(gone) do
  redis.call('DEL', key('coordinator', id))
  redis.call('ZREM', key('coordinators'), id)
end
return {#waits, signals, #gone}
