-- prelude_claims: whoever goes on with a wait that has ended claims it, for a while; stands after prelude_leaves

local MOST_STARTS = 5 -- a continuation that was started so often and never ended is poison
local function came(wait, terms, i) return not terms.tree or string.sub(wait['leaf:' .. i] or '', 1, 1) == '+' end

-- The signals that a wait which ended has come to know: name, payload, name, payload ...
local function payloads(wait, terms)
  local found = {}
  for i, leaf in ipairs(terms.leaves) do
    local kept = wait['leaf:' .. i]
    if kept and came(wait, terms, i) then found[#found + 1], found[#found + 2] = leaf[1], string.sub(kept, 2) end
  end
  local single = not terms.tree and wait.how == 'signalled' and terms.leaves[1][1]
  if single then return {single, redis.call('HGET', key('signal', single), 'payload') or 'null'} end
  return found
end

-- What the receipts of those signals say of this wait from now on.
local function receipts(id, wait, terms, state)
  for i, leaf in ipairs(wait.how == 'signalled' and terms.leaves or {}) do
    if came(wait, terms, i) then progress(leaf[1], id, state) end
  end
end

-- A wait for one signal has no copy of it: the signal stays as long as somebody may still go on with the wait.
local function quits(wait, terms)
  if wait.how == 'signalled' and not terms.tree then redis.call('HINCRBY', key('signal', terms.leaves[1][1]), 'owed', -1) end
end

local function first_claim(id, wait, terms)
  receipts(id, wait, terms, 'received')
  if wait.how ~= 'signalled' then return end
  if not terms.tree then redis.call('HINCRBY', key('signal', terms.leaves[1][1]), 'taken', 1) end
  local sent, ended_at = tonumber(wait.since), tonumber(wait.ended) -- by the last one that came; another may stand by now
  for i, leaf in ipairs(terms.leaves) do
    local at = came(wait, terms, i) and tonumber(redis.call('HGET', key('signal', leaf[1]), 'at') or ended_at) or 0
    sent = math.max(sent, math.min(at, ended_at))
  end
  measure(counters, 'signal_delivery_latency_seconds', {'0.005', '0.01', '0.05', '0.1', '0.5', '1', '5', '60'}, now - sent)
end

-- Claims the outcome of a wait for `lease_ms`. Answers {received, how, why, what, mail, start, value or '', name, payload...},
-- or the state that it is in when there is nothing to go on with: {waiting|processed|dead_letter|gone, how, why, what};
-- {busy, left_ms} while somebody else has claimed it; given_up is a dead letter from now on. It is given out
-- `again` to who has it and has not heard so, or could not tell what came of it.
local function claim(id, lease_ms, again)
  local at_wait = key('wait', id)
  local wait = hash(at_wait)
  if not wait.state then return {'gone'} end
  if wait.state ~= 'ended' and wait.state ~= 'received' then
    local known = wait.state == 'processed' and payloads(wait, terms_of(wait)) or {}
    return {wait.state, wait.how or '', wait.why or '', wait.what, wait.mail or '', '0', wait.value or '', unpack(known)}
  end
  again = again and wait.state == 'received'
  local busy = wait.state == 'received' and not again and tonumber(wait.lease) - now or 0
  if busy > 0 then return {'busy', text(busy)} end
  local start, terms = redis.call('HINCRBY', at_wait, 'started', again and 0 or 1), terms_of(wait)
  if start - (tonumber(wait.forgiven) or 0) > MOST_STARTS then
    redis.call('HSET', at_wait, 'state', 'dead_letter')
    redis.call('ZREM', undelivered, id)
    redis.call('ZADD', key('dead_letters'), text(now), 'wait:' .. id)
    count(counters, 'supervision_dead_letters_total|of=wait')
    wait_event(id, wait.state, 'dead_letter', 'what follows it was started ' .. MOST_STARTS .. ' times and never ended')
    return {'given_up', wait.how, wait.why, wait.what}
  end
  redis.call('HSET', at_wait, 'state', 'received', 'lease', text(now + lease_ms))
  if not wait.channel then redis.call('ZADD', undelivered, text(now + lease_ms), id) end
  if wait.state == 'ended' then first_claim(id, wait, terms) end
  return {'received', wait.how, wait.why, wait.what, wait.mail or '', text(start), wait.value or '',
    unpack(payloads(wait, terms))}
end

-- Those that just ended, {id, message...}, for who goes on with them here: claimed; else with the message to send.
local function handed(found, lease_ms)
  local answer = {}
  for i = 1, #found, 2 do
    answer[#answer + 1] = lease_ms > 0 and {found[i], unpack(claim(found[i], lease_ms))} or {found[i], 'ended', found[i + 1]}
  end
  return answer
end
