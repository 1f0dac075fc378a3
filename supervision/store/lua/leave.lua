-- leave(outbox, entries, events, counters; id, incarnation, state, why) -> whether it was this call that ended it
-- with waits
local known = hash(key('coordinator', ARGV[1]))
if known.incarnation ~= ARGV[2] then return 0 end
return end_coordinator(ARGV[1], known, ARGV[3], ARGV[4], known.process) and 1 or 0
