-- mourn(outbox, entries, events, counters; coordinator, most, lease_ms) -> {left, 1 if its parent was told by this call, {wait, ...}...}: what a death means for some who expected it
-- with waits
local coordinator, mourners, found = ARGV[1], key('mourners', ARGV[1]), {}
local known = contained('coordinator', coordinator, hash, key('coordinator', coordinator)) or {}
local why, lives = known.died_of or 'is gone', known.died_as and known.incarnation ~= known.died_as

local function mourns(each, i, id)
  local wait = brief(id)
  if wait.state == 'waiting' and not wait['leaf:' .. i] then
    redis.call('SADD', key('expecting', coordinator), each) -- it may wait on, for whoever comes under that name
    local terms = terms_of(wait)
    took(terms)
    local mail = overdue(id, wait, terms)
    local open_still = wait.state == 'waiting' and not wait['leaf:' .. i]
    -- Who would be replaced, or whose parent would be told, has come back by itself.
    if open_still and not (lives and terms.on_death) then mail = bereaved(id, wait, terms, i, coordinator, why) end
    if mail then
      found[#found + 1] = id
      found[#found + 1] = mail
    end
  end
end

for _ = 1, tonumber(ARGV[2]) do
  local each = not slice_is_full() and redis.call('SPOP', mourners)
  if not each then break end
  local i, id = parsed(each)
  contained('wait', id or each, mourns, each, i, id)
end
local left = redis.call('SCARD', mourners)
if left == 0 then redis.call('ZREM', key('mourning'), coordinator) end
return {left, told_of and 1 or 0, unpack(handed(found, tonumber(ARGV[3])))}
