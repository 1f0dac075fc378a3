-- arrive(outbox, entries, events, counters; id, lease_ms, index, came, value, index, came, value...) -> {{wait, ...}} to go on with, if these end it
-- with waits
local id, at_wait = ARGV[1], key('wait', ARGV[1])
local wait = hash(at_wait)
if wait.state ~= 'waiting' then return {} end
local terms, parts, results = terms_of(wait), key('parts', id), key('results', id)
local failed, how, why = tonumber(wait.failed or 0), nil, nil

-- One part has ended, the first time that it is told: with its result, or with why it failed.
local function ends(index, came, value)
  local kept = came and '+' .. value or '-part ' .. named(id, index) .. ' failed: ' .. value
  redis.call('HSET', results, index, kept)
  redis.call('HDEL', parts, index)
  count(counters, 'supervision_parts_ended_total|how=' .. (came and 'gathered' or 'failed'))
  if came then return end
  failed = failed + 1
  redis.call('HSET', at_wait, 'failed', text(failed))
  if terms.fail_fast then how, why = 'failed', string.sub(kept, 2) end
end

if tonumber(redis.call('ZSCORE', deadlines, member(0, id))) <= now then how, why = 'timed_out', late(id, terms) end
for i = 3, #ARGV, 3 do
  if not how and redis.call('HEXISTS', parts, ARGV[i]) == 1 then ends(ARGV[i], ARGV[i + 1] == '1', ARGV[i + 2]) end
end
if not how and redis.call('EXISTS', parts) == 0 then
  how = failed > 0 and 'failed' or 'gathered'
  why = failed > 0 and text(failed) .. ' of ' .. text(terms.parts) .. ' parts failed' or terms.told
end
if not how then return {} end
local mail = finish(id, wait, terms, how, why)
return handed(mail and {id, mail} or {}, tonumber(ARGV[2]))
