-- trim(events, incidents, supervisors; keep_ms) -> how many records were removed; those of an open incident stay
local since = now - tonumber(ARGV[1])
for subject, began in pairs(hash(KEYS[2])) do
  -- An incident of a supervisor that nobody declares any more, or of a child of such a one, can never end.
  local above = string.match(subject, '^(.*)/') or ''
  if redis.call('HEXISTS', KEYS[3], subject) + redis.call('HEXISTS', KEYS[3], above) == 0 then
    redis.call('HDEL', KEYS[2], subject)
  else since = math.min(since, tonumber(began) or since) end -- junk keeps nothing
end
return redis.call('XTRIM', KEYS[1], 'MINID', text(math.max(since, 0)))
