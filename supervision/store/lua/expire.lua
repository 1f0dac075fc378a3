-- expire(outbox, entries, events, counters; most, lease_ms) -> {left, {wait, ...}...}: of those whose time was over
-- with waits
local found = {}
local function ends(i, id)
  local wait = brief(id)
  if wait.state == 'waiting' then
    local terms, mail = terms_of(wait), nil
    took(terms)
    if i == 0 then mail = finish(id, wait, terms, 'timed_out', late(id, terms))
    else mail = decide_leaf(id, wait, terms, i, 'timed_out', 'no ' .. terms.leaves[i][1] .. ' before its deadline') end
    if mail then
      found[#found + 1] = id
      found[#found + 1] = mail
    end
  end
end

for _, each in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', text(now), 'LIMIT', 0, ARGV[1])) do
  if slice_is_full() then break end
  local i, id = parsed(each)
  redis.call('ZREM', deadlines, each)
  contained('wait', id or each, ends, i, id)
end
return {redis.call('ZCOUNT', deadlines, '-inf', text(now)), unpack(handed(found, tonumber(ARGV[2])))}
