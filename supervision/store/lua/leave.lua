-- leave(outbox, entries, events, counters; id, incarnation, state, why) -> {} | {lost} | {expected}, if it was this call that ended it
-- with waits
local known = hash(key('coordinator', ARGV[1]))
if lost(known.incarnation, ARGV[2]) then return {'lost'} end
if known.incarnation ~= ARGV[2] then return {} end
local ended, expected = end_coordinator(ARGV[1], known, ARGV[3], ARGV[4], known.process)
return ended and {expected and '1' or '0'} or {}
