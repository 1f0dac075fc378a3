-- post(outbox, entries, events, counters; mailbox, id, payload, sender) -> {put|same, entry or ''} | {full, bound, retry_after_ms}
-- with mail
local outcome, entry = put_mail(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if outcome ~= 'full' then return {outcome, entry or ''} end
local box = hash(key('mailbox', ARGV[1]))
return {'full', box.bound or text(BOUND), text(retry_after(box))}
