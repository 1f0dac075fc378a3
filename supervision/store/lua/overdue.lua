-- overdue(due, swept; most, longest_pause_ms, skipped, rhythm_ms, slow_ms) -> {action id...} that a sweep must look at now
local due, swept, longest_pause, rhythm, slow = KEYS[1], KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local at, gap = string.match(redis.call('GET', swept) or '', '^(%d+):?(%d*)$')
local since, usual = now - (tonumber(at) or now), tonumber(gap) or 0

-- Nobody looked for long, or the clock was set: what was waited for until then is still to be waited for from now on,
-- so that a jump ends no run that is alive and makes no dead one wait for as long as the jump. What had passed anyway
-- is a sweep's rhythm at least, or else sweeps that are late again and again would keep every wait from its end.
local jumped = since
if since >= 0 then jumped = since > longest_pause and since - math.min(math.max(rhythm, usual), since) or 0 end
if jumped ~= 0 then
  for _, id in ipairs(redis.call('ZRANGE', due, 0, -1)) do redis.call('ZINCRBY', due, text(jumped), id) end
end
-- A gap that may be slowness is remembered for as long as it was. One that is longer was an outage, or no gap at all.
usual = math.max(usual - math.max(since, 0), since <= slow and since or 0, 0)
redis.call('SET', swept, text(now) .. ':' .. text(usual))
return redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', ARGV[3], ARGV[1])
