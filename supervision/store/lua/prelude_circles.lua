-- prelude_circles: whether a wait that begins would close a circle of waits; stands after prelude_leaves

-- Whether a wait cannot come true any more without its leaf i: only such a leaf holds it up for certain.
local function needs(terms, came, i)
  if came[i] ~= nil then return false end
  if not terms.tree then return true end
  local without = {[i] = false}
  for leaf, verdict in pairs(came) do without[leaf] = verdict end
  return judged(terms.tree, without) == false
end

-- Whom a wait needs.
local function needed(terms, came)
  local found = {}
  for i, leaf in ipairs(terms.leaves) do
    if leaf[2] ~= '' and needs(terms, came, i) then found[#found + 1] = leaf[2] end
  end
  return found
end

-- Whom an open wait needs, and how many signals it is for. The message that goes on with it is not read: it may be long.
local function needed_by(id)
  local terms = cjson.decode(redis.call('HGET', key('wait', id), 'what'))
  return needed(terms, terms.tree and so_far(brief(id), terms) or {}), math.max(#terms.leaves, 1)
end

-- The leaves that are looked at before a search is given up, at 10 µs each; a longer circle ends with its timeouts.
local MOST_LOOKED = 500

-- The way from the owner of a wait, over those who are needed, back to the owner; each coordinator is looked at once.
local function circle(owner, terms, came)
  local queue, before, looked = {}, {}, 0
  local function next_of(from, names)
    for _, name in ipairs(names) do
      if not before[name] then
        before[name] = from
        queue[#queue + 1] = name
      end
    end
  end
  next_of(owner, needed(terms, came))
  local at = 1
  while queue[at] and queue[at] ~= owner do
    for _, id in ipairs(redis.call('SRANDMEMBER', key('waits_of', queue[at]), MOST_LOOKED)) do
      if looked >= MOST_LOOKED then return nil end
      local names, leaves = contained('wait', id, needed_by, id)
      looked = looked + (leaves or 1)
      next_of(queue[at], names or {})
    end
    at = at + 1
  end
  if not queue[at] then return nil end
  local path, name = {owner}, before[owner]
  while name ~= owner do
    table.insert(path, 1, name)
    name = before[name]
  end
  table.insert(path, 1, owner)
  return path
end
