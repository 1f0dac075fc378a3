-- prelude_begin: a wait that begins, and what the death of somebody expected means for it; stands after prelude_mail

local over = {dead = true, failed = true}
local told_of = nil -- the coordinator of whose death this script has told a parent

-- Tells the parent of a dead coordinator, once per death, whose wait asks first. Also where its mailbox is full: nobody
-- would say it again, and a coordinator dies seldom. Answers whether there is a parent.
local function escalated(id, signal, coordinator, why)
  local known = redis.call('HMGET', key('coordinator', coordinator), 'parent', 'incarnation')
  if not known[1] or known[1] == '' then return false end
  local payload = cjson.encode({died = coordinator, incarnation = tonumber(known[2]), why = why, wait = id, signal = signal})
  local mail_id = 'death-' .. coordinator .. '-' .. known[2]
  if put_mail(known[1], mail_id, payload, coordinator, true) == 'put' then
    told_of = coordinator
    event(events, 0, {'kind', 'coordinator', 'subject', coordinator, 'before', 'dead', 'after', 'escalated', 'reason',
      'told to the mailbox of ' .. known[1], 'attempt', '0', 'actor', id})
  end
  return true
end

local REGISTERS_WITHIN = 60000 -- ms, as long as one that lives may be silent; each time it is sent twice as long

-- Sends for who replaces a dead coordinator, under the ids of this death however often.
local function send_replacement(coordinator, incarnation, times)
  redis.call('HSET', key('coordinator', coordinator), 'replacements', times)
  redis.call('ZADD', key('replacing'), text(now + math.min(300000, REGISTERS_WITHIN * 2 ^ (times - 1))), coordinator)
  enqueue(outbox, entries, 'replace:' .. coordinator .. ':' .. incarnation, 'replace', coordinator)
end

-- Somebody who was expected is gone for good. Answers as `finish` does, or nothing where the wait goes on.
local function bereaved(id, wait, terms, i, coordinator, why)
  local in_vain = terms.on_death == 'replace' and redis.call('HGET', key('coordinator', coordinator), 'in_vain')
  if in_vain then why = why .. in_vain end
  if (terms.on_death == 'escalate' or in_vain) and escalated(id, terms.leaves[i][1], coordinator, why) then return nil end
  if terms.on_death ~= 'replace' or in_vain then -- to fail is what is not said
    return decide_leaf(id, wait, terms, i, 'died', coordinator .. ' ' .. why .. ', and nobody else would send ' .. terms.leaves[i][1])
  end
  -- The first wait that asks for it decides who comes instead, once per death.
  local incarnation = redis.call('HGET', key('coordinator', coordinator), 'incarnation')
  if redis.call('HSETNX', key('coordinator', coordinator), 'replaced', incarnation) == 1 then
    redis.call('HSET', key('coordinator', coordinator), 'replacement', terms.replacement, 'home', terms.home or '')
    send_replacement(coordinator, incarnation, 1)
    event(events, 0, {'kind', 'coordinator', 'subject', coordinator, 'before', 'dead', 'after', 'replacing', 'reason', why,
      'attempt', '0', 'actor', id})
  else -- and is watched again, should nobody have waited for it meanwhile
    redis.call('ZADD', key('replacing'), 'NX', text(now + REGISTERS_WITHIN), coordinator)
  end
end

-- Puts a new wait into the indexes of its leaves, or decides those that are decided already.
local function begin(id, wait, terms)
  for i, leaf in ipairs(terms.leaves) do
    if wait.state == 'waiting' then
      redis.call('ZADD', key('waiters', leaf[1]), text(now), member(i, id))
      if leaf[2] ~= '' then redis.call('SADD', key('expecting', leaf[2]), member(i, id)) end
      if leaf[3] > 0 then redis.call('ZADD', deadlines, text(now + leaf[3]), member(i, id)) end
    end
  end
  for i, leaf in ipairs(terms.leaves) do
    local found = wait.state == 'waiting' and latched(leaf[1])
    if found then decide_leaf(id, wait, terms, i, 'signalled', leaf[1], found[3]) end
    local gone = wait.state == 'waiting' and leaf[2] ~= '' and redis.call('HGET', key('coordinator', leaf[2]), 'state')
    if gone and over[gone] and not wait['leaf:' .. i] then bereaved(id, wait, terms, i, leaf[2], 'is ' .. gone) end
  end
end
