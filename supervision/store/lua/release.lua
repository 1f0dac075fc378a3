-- release(outbox, entries, events, counters; name, most, lease_ms) -> {left, {wait, ...}...}
-- with waits
local found, left = release_some(ARGV[1], tonumber(ARGV[2]))
if left > 0 then redis.call('ZADD', key('releasing'), text(now), ARGV[1]) end
return {left, unpack(handed(found, tonumber(ARGV[3])))}
