-- trim(events, incidents, supervisors, trimmed; keep_ms, most, most_at_once) -> {how many records were removed, whether there is more to look through}
local events, incidents, trimmed = KEYS[1], KEYS[2], KEYS[4]
local before, most = math.max(now - tonumber(ARGV[1]), 1), tonumber(ARGV[2])
local open, names = {}, {}
for subject, began in pairs(hash(incidents)) do
  -- An incident of a supervisor that nobody declares any more, or of a child of such a one, can never end.
  local above = string.match(subject, '^(.*)/') or ''
  if redis.call('HEXISTS', KEYS[3], subject) + redis.call('HEXISTS', KEYS[3], above) == 0 then
    redis.call('HDEL', incidents, subject)
  elseif tonumber(began) and tonumber(began) < before then -- a younger one has no old records, and junk keeps nothing
    open[subject] = tonumber(began)
    names[#names + 1] = subject .. ' ' .. began
  end
end
if #names == 0 then
  redis.call('DEL', trimmed)
  -- The server frees whole nodes of its tree so many at a time; the last one, of which a part stays, is trimmed exactly.
  local gone = redis.call('XTRIM', events, 'MINID', '~', text(before), 'LIMIT', ARGV[3])
  if gone > 0 then return {gone, 1} end
  return {redis.call('XTRIM', events, 'MINID', text(before)), 0}
end

-- What is about the subject of an open incident, or about something below it, since that began.
local function kept(id, fields)
  local at, subject = tonumber(string.match(id, '^%d+')), nil
  for i = 1, #fields, 2 do subject = fields[i] == 'subject' and fields[i + 1] or subject end
  while subject do
    if open[subject] and at >= open[subject] then return true end
    subject = string.match(subject, '^(.*)/')
  end
  return false
end

-- From where the last one came to: what stands before it is kept, for as long as the same incidents are open.
table.sort(names)
local digest = redis.sha1hex(table.concat(names, '\n'))
local last, of = string.match(redis.call('GET', trimmed) or '', '^(%S+) (%S+)$')
local found = redis.call('XRANGE', events, of == digest and '(' .. last or '-', '(' .. text(before) .. '-0', 'COUNT', most)
local gone = {}
for _, record in ipairs(found) do
  if not kept(record[1], record[2]) then gone[#gone + 1] = record[1] end
end
if #gone > 0 then redis.call('XDEL', events, unpack(gone)) end
if #found > 0 then redis.call('SET', trimmed, found[#found][1] .. ' ' .. digest) end
return {#gone, #found == most and 1 or 0}
