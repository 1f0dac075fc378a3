-- trim(events, incidents; keep_ms) -> how many records were removed; those of an open incident stay
local since = now - tonumber(ARGV[1])
for _, began in ipairs(redis.call('HVALS', KEYS[2])) do since = math.min(since, tonumber(began)) end
return redis.call('XTRIM', KEYS[1], 'MINID', text(math.max(since, 0)))
