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
  -- Asked for one by one, since to read and sort the names of 10,000 takes 30 ms.
  local left, told, i = redis.call('HLEN', key('parts', id)), {}, 0
  while #told < math.min(left, MOST_NAMED) and i < terms.parts do
    if redis.call('HEXISTS', key('parts', id), text(i)) == 1 then told[#told + 1] = named(id, text(i)) end
    i = i + 1
  end
  local more = left > #told and ' and ' .. text(left - #told) .. ' more' or ''
  return text(left) .. ' of ' .. text(terms.parts) .. ' parts had not ended before the deadline: '
    .. table.concat(told, ', ') .. more
end
