-- trim(events, incidents, supervisors; keep_ms) -> how many records were removed; those of an open incident stay
local since = now - tonumber(ARGV[1])
for supervisor, began in pairs(hash(KEYS[2])) do
  -- An incident of a supervisor that nobody declares any more can never end.
  if redis.call('HEXISTS', KEYS[3], supervisor) == 0 then redis.call('HDEL', KEYS[2], supervisor)
  else since = math.min(since, tonumber(began)) end
end
return redis.call('XTRIM', KEYS[1], 'MINID', text(math.max(since, 0)))
