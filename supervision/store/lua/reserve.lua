-- reserve(control, flight, action, due, outbox, entries, events, counters, gone, records; supervisor, actor, wish) -> {reserved, entry} | {busy, id} | {duplicate, id} | {gone, id}
local flight, action = KEYS[2], KEYS[3]
local wish = cmsgpack.unpack(ARGV[3])
local taken = redis.call('HGET', flight, wish.child)
if redis.call('EXISTS', action) == 1 then return {'duplicate', wish.id} end
-- One that is back in the code has a record again, and its tombstone still.
if redis.call('HEXISTS', KEYS[9], wish.child) == 1 and redis.call('HEXISTS', KEYS[10], wish.child) == 0 then return {'gone', wish.id} end
if taken then return {'busy', taken} end
return {'reserved', reserve({flight = flight, action = action, due = KEYS[4], outbox = KEYS[5], entries = KEYS[6],
  events = KEYS[7], counters = KEYS[8]}, ARGV[1], wish, ARGV[2], 0)}
