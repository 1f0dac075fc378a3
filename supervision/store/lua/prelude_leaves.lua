-- prelude_leaves: what becomes of a wait when one of its leaves came or is lost; stands after prelude_waits

-- '+' and the payload, or '-' and how it was lost. The signal is copied into a wait for several, which may go on for
-- longer than the signal stands.
local function terms_of(wait) return cjson.decode(wait.what) end
local function note(id, wait, i, what)
  wait['leaf:' .. i] = what
  if wait.came then wait.came[i] = string.sub(what, 1, 1) == '+' end
  redis.call('HSET', key('wait', id), 'leaf:' .. i, what)
end

-- Read once and kept up by `note`: a wait may begin with a hundred leaves that are decided one by one.
local function so_far(wait, terms)
  if wait.came then return wait.came end
  wait.came = {}
  for i = 1, #terms.leaves do
    local found = wait['leaf:' .. i]
    if found then wait.came[i] = string.sub(found, 1, 1) == '+' end
  end
  return wait.came
end

-- Whether the deadline of the whole, or of this leaf, was before now: then whatever comes now comes too late.
local function too_late(id, i)
  for _, which in ipairs({member(0, id), member(i, id)}) do
    local deadline = tonumber(redis.call('ZSCORE', deadlines, which))
    if deadline and deadline <= now then return which end
  end
end

-- One leaf is decided: it came with `payload`, or is lost in the way `how` says. Answers as `finish` does.
local function decide_leaf(id, wait, terms, i, how, why, payload)
  local leaf = terms.leaves[i]
  if not terms.tree then
    if how == 'signalled' then redis.call('HINCRBY', key('signal', leaf[1]), 'owed', 1) end
    return finish(id, wait, terms, how, why)
  end
  if wait['leaf:' .. i] then return nil end
  if how == 'signalled' then
    note(id, wait, i, '+' .. payload)
    redis.call('HINCRBY', key('signal', leaf[1]), 'taken', 1) -- so that nobody replaces what stands here already
    progress(leaf[1], id, 'delivered')
  else
    note(id, wait, i, '-' .. how)
    progress(leaf[1], id, LATER[how])
  end
  let_go(id, leaf, i)
  local verdict = judged(terms.tree, so_far(wait, terms))
  if verdict == nil then return nil end
  return finish(id, wait, terms, verdict and 'signalled' or how, why)
end

-- What was to have come before now is decided first, however late its sweep comes. Answers as `finish` does.
local function overdue(id, wait, terms)
  if too_late(id, 0) then return finish(id, wait, terms, 'timed_out', late(id, terms)) end
  local mail = nil
  for i, leaf in ipairs(terms.leaves) do
    if wait.state == 'waiting' and leaf[3] > 0 and too_late(id, i) then
      mail = decide_leaf(id, wait, terms, i, 'timed_out', 'no ' .. leaf[1] .. ' before its deadline')
    end
  end
  return mail
end

-- A signal came for a member of an index of waiters. Answers the id and `finish`'s answer; nothing if it was over.
local function arrived(found, name, payload)
  local i, id = parsed(found)
  local wait = brief(id)
  if wait.state ~= 'waiting' then return nil end
  local terms, late = terms_of(wait), too_late(id, i)
  took(terms)
  took_bytes(#payload)
  if late then
    local whole = late == member(0, id)
    local why = 'no ' .. name .. ' before its deadline'
    if whole then return id, finish(id, wait, terms, 'timed_out', why) end
    return id, decide_leaf(id, wait, terms, i, 'timed_out', why)
  end
  return id, decide_leaf(id, wait, terms, i, 'signalled', name, payload)
end
