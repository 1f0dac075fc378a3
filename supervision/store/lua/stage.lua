-- stage(outbox, entries, events, counters; id, keep_ms, index, signature, index, signature...) -> how many parts are there
-- with waits
-- Parts come in slices, before their gather is registered; whatever is never registered goes away by itself.
local parts = key('parts', ARGV[1])
if redis.call('EXISTS', key('wait', ARGV[1])) == 1 then return 0 end
for i = 3, #ARGV, 2 do redis.call('HSET', parts, ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', parts, ARGV[2])
return redis.call('HLEN', parts)
