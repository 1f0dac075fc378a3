-- dead_mail(outbox, entries, events, counters; mailbox, id, retry|discard, why, by) -> {done, entry or ''} | {gone}
-- with mail
local mailbox, id, verb = ARGV[1], ARGV[2], ARGV[3]
local found = redis.call('HGET', key('dead', mailbox), id)
if not found then return {'gone'} end
redis.call('HDEL', key('dead', mailbox), id)
redis.call('ZREM', key('dead_letters'), 'mail:' .. mailbox .. '#' .. id)
mailbox_event(mailbox, 'dead_letter', verb == 'retry' and 'put again' or 'discarded', id .. ': ' .. ARGV[4], ARGV[5])
if verb ~= 'retry' then return {'done', ''} end
-- Even into a full mailbox: it was in there, and a person wants it back.
return {'done', at_the_end(mailbox, id, cjson.decode(found)[1]) or ''}
