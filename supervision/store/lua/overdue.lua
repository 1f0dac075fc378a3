-- overdue(due, swept; most, longest_pause_ms, skipped) -> {action id...} that a sweep must look at now
local due, swept, longest_pause = KEYS[1], KEYS[2], tonumber(ARGV[2])
local since = now - (tonumber(redis.call('GET', swept)) or now)
redis.call('SET', swept, text(now))

-- Nobody looked for long, or the clock was set: what was waited for until then is still to be waited for from now on,
-- so that a jump ends no run that is alive and makes no dead one wait for as long as the jump.
if since < 0 or since > longest_pause then
  for _, id in ipairs(redis.call('ZRANGE', due, 0, -1)) do redis.call('ZINCRBY', due, text(since), id) end
end
return redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', ARGV[3], ARGV[1])
