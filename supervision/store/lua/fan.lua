-- fan(outbox, entries, events, counters; id, holder, published, most, lease_ms) -> {slice, home, next, index, signature...} | {left, entry} | {done|busy|over}
-- with waits
local id, holder, most, lease = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local at_wait, entry = key('wait', id), 'parts:' .. id
local found = redis.call('HMGET', at_wait, 'state', 'what', 'fanned', 'fanner', 'fanned_by')
if found[1] ~= 'waiting' then return {'over'} end
if found[4] and found[4] ~= holder and tonumber(found[5]) > now then return {'busy'} end

-- What this holder has published since it was here last is known to be with the broker from now on.
local terms, next_ = cjson.decode(found[2]), math.max(tonumber(found[3]), tonumber(ARGV[3]))
redis.call('HSET', at_wait, 'fanned', text(next_))
if next_ >= terms.parts or most == 0 then
  redis.call('HDEL', at_wait, 'fanner', 'fanned_by')
  if next_ < terms.parts then return {'left', enqueue(outbox, entries, entry, 'parts', id)} end
  redis.call('ZADD', key('gathers'), text(now + 60000), id)
  redis.call('ZREM', outbox, entry)
  redis.call('HDEL', entries, entry)
  return {'done'}
end

redis.call('HSET', at_wait, 'fanner', holder, 'fanned_by', text(now + lease))
redis.call('ZADD', key('gathers'), text(now + lease), id)
local upto = math.min(next_ + most, terms.parts)
local slice = {'slice', terms.home or '', text(upto)}
-- One that is gone has ended: its slice was published by somebody who died before saying so.
for i = next_, upto - 1 do
  local signature = redis.call('HGET', key('parts', id), text(i))
  if signature then
    slice[#slice + 1] = text(i)
    slice[#slice + 1] = signature
  end
end
return slice
