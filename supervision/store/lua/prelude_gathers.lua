-- prelude_gathers: the parts of a gather that have not ended, as people read them; stands after prelude_waits

local MOST_NAMED = 10 -- of 10,000 that are missing nobody reads more

-- A part by its index, and the tasks that it is made of.
local function named(id, index)
  local names = {}
  for i, step in ipairs(cjson.decode(redis.call('HGET', key('parts', id), index) or '[]')) do names[i] = step.task end
  return index .. ' (' .. table.concat(names, ' | ') .. ')'
end

-- Why a wait did not end well whose deadline has come.
local function late(id, terms)
  if not terms.parts then return 'no ' .. terms.told .. ' before its deadline' end
  local missing, told = {}, {}
  local found = redis.call('HKEYS', key('parts', id))
  for _, index in ipairs(found) do missing[tonumber(index)] = true end
  for i = 0, terms.parts - 1 do
    if missing[i] and #told < MOST_NAMED then told[#told + 1] = named(id, text(i)) end
  end
  local more = #found > #told and ' and ' .. text(#found - #told) .. ' more' or ''
  return text(#found) .. ' of ' .. text(terms.parts) .. ' parts had not ended before the deadline: '
    .. table.concat(told, ', ') .. more
end
