-- unhandled(outbox, entries, events, counters; mailbox, token, why, counted) -> {theirs, entry or '', given_up}; what is not counted costs no attempt
-- with mail
local box = hash(key('mailbox', ARGV[1]))
if box.state ~= 'handed' or box.token ~= ARGV[2] then return {0, '', given_up} end
return {1, fail_batch(ARGV[1], box, ARGV[3], ARGV[4] == '1', true) or '', given_up}
