-- register(outbox, entries, events, counters; id, kind, process, host, doing, parent, progress_ms, incarnation or '' for a new one) -> {incarnation, state of whoever had the name, every_ms or '' before the first judgement}
-- with waits
local id, process, progress_ms = ARGV[1], ARGV[3], tonumber(ARGV[7])
local at_coordinator = key('coordinator', id)
local known = hash(at_coordinator)
local mine, every = ARGV[8] ~= '' and ARGV[8], redis.call('GET', key('every')) or ''
if mine and not lost(known.incarnation, mine) then return {known.incarnation, known.state or '', every} end
local incarnation = mine or text(grown(known.incarnation))
if known.process then redis.call('SREM', key('process', known.process), id) end
redis.call('HDEL', at_coordinator, 'why', 'ended', 'health', 'replaced', 'replacement', 'replacements', 'in_vain', 'home', 'judged', 'silent', 'times')
redis.call('HSET', at_coordinator, 'incarnation', incarnation, 'state', 'registered', 'kind', ARGV[2], 'process', process,
  'host', ARGV[4], 'doing', ARGV[5], 'parent', ARGV[6], 'since', text(now), 'progress_ms', ARGV[7])
redis.call('ZADD', beats, text(now), id)
redis.call('ZADD', key('coordinators'), '+inf', id)
redis.call('SADD', key('process', process), id)
redis.call('SREM', key('late'), id)
redis.call('ZREM', key('replacing'), id)
stands_as(id, 'healthy')
if progress_ms > 0 then redis.call('ZADD', moving, text(now + progress_ms), id) else redis.call('ZREM', moving, id) end
coordinator_event(id, known.state or '', 'registered', mine and 'the store had lost it' or known.state == 'dead' and 'it was dead and came back' or ARGV[2], process)
return {incarnation, known.state or '', every}
