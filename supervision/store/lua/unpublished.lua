-- unpublished(outbox, entries; older_than_ms, most) -> {entry...}
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now - tonumber(ARGV[1])), 'LIMIT', 0, ARGV[2])
-- What was written later than now is from before the clock was set back: nobody else will send it.
if #ids == 0 then ids = redis.call('ZRANGEBYSCORE', KEYS[1], text(now + 1000), '+inf', 'LIMIT', 0, ARGV[2]) end
if #ids == 0 then return {} end
return redis.call('HMGET', KEYS[2], unpack(ids))
