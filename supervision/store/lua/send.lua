-- send(outbox, entries, events, counters; name, id, payload, sender, ttl_ms, replace, channel, most, lease_ms) -> {sent|replaced|same, left, {wait, ...}...} | {other, id, at, sender, why}
-- with waits
local name, id, payload, sender, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local at_signal = key('signal', name)
local known = hash(at_signal)
local stands = known.id and tonumber(known['until']) > now

local function watched() if ARGV[7] ~= '' then redis.call('HSET', at_signal, 'channel', ARGV[7]) end end

local function other(why) return {'other', known.id, known.at, known.sender, why} end

if stands and known.id == id then
  watched()
  return {'same', redis.call('ZCARD', key('waiters', name))}
end
if stands and ARGV[6] ~= '1' then return other('stands') end
if stands and tonumber(known.taken or 0) + tonumber(known.owed or 0) > 0 then return other('received') end
if known.id and not stands and tonumber(known.owed or 0) > 0 then return other('owed') end

-- One that is over has its waiters behind it; who gave up waiting for one that never came is news to its sender.
if known.id and not stands then redis.call('DEL', key('receipt', name)) end
redis.call('DEL', at_signal)
redis.call('HSET', at_signal, 'id', id, 'payload', payload, 'sender', sender, 'at', text(now), 'until', text(now + ttl))
watched()
redis.call('ZADD', key('signals'), 'GT', text(now + ttl + 86400000), name)
count(counters, 'supervision_signals_sent_total')
event(events, 0, {'kind', 'signal', 'subject', name, 'before', stands and 'sent' or '', 'after', stands and 'replaced' or 'sent',
  'reason', id, 'attempt', '0', 'actor', sender})

local done = stands and 'replaced' or 'sent'
if redis.call('EXISTS', key('waiters', name)) == 0 then return {done, 0} end
redis.call('ZADD', key('releasing'), text(now), name)
local found, left = release_some(name, tonumber(ARGV[8]))
return {done, left, unpack(handed(found, tonumber(ARGV[9])))}
