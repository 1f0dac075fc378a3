-- processed(outbox, entries, events, counters; incarnation of the process that says so, or nothing, id, start, state, id, start, state...) -> {id, state...} of these runs that were still theirs to end; `again` of one that has ended, and nobody has taken over
-- with waits
local theirs = {}
for i = 2, #ARGV, 3 do
  local id, start, state = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local wait = brief(id)
  -- A newer instance may wait anew under this id, and its starts are counted from 1 again.
  local anothers = ARGV[1] ~= '' and wait.claimer and wait.claimer ~= ARGV[1]
  if not anothers and wait.state == 'received' and wait.started == start then
    theirs[#theirs + 1] = id
    theirs[#theirs + 1] = state
    redis.call('HSET', key('wait', id), 'state', 'processed')
    redis.call('HDEL', key('wait', id), 'mail')
    redis.call('UNLINK', key('results', id))
    redis.call('ZREM', undelivered, id)
    redis.call('ZADD', ended, text(now), id) -- from now on it can be asked for, for a day
    quits(wait, terms_of(wait))
    receipts(id, wait, terms_of(wait), state)
    wait_event(id, wait.how, state, wait.why)
  elseif not anothers and (tonumber(wait.started) or 0) <= tonumber(start) then
    theirs[#theirs + 1] = id
    theirs[#theirs + 1] = 'again'
  end
end
return theirs
