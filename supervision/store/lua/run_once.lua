-- run_once(outbox, entries, events, counters; task, holder, lease_ms, keep_ms) -> {run} | {busy, left_ms} | {again, value} | {settled}
-- with waits
-- No record of the history: there is one of these for every task that is guarded, and copies are counted.
local at_once, holder, until_ = key('once', ARGV[1]), ARGV[2], text(now + tonumber(ARGV[3]))
local known = hash(at_once)
local held = known.holder and known.holder ~= holder and tonumber(known['until']) > now
if known.settled or held then count(counters, 'supervision_copies_total|met=' .. (known.settled and 'settled' or 'busy')) end
if known.settled then return {'settled'} end
if held then return {'busy', text(tonumber(known['until']) - now)} end
redis.call('HSET', at_once, 'holder', holder, 'until', until_)
redis.call('PEXPIRE', at_once, ARGV[4])
if known.value then return {'again', known.value} end
return {'run'}
