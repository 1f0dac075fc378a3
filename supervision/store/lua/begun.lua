-- begun(outbox, entries, events, counters; mailbox, token, retries) -> {ours|stale|again, entry or '', given_up}; whether a call of the handler may run
-- with mail
local mailbox, token, run = ARGV[1], ARGV[2], ARGV[2] .. ':' .. ARGV[3]
local at_box = key('mailbox', mailbox)
local box = hash(at_box)
if box.state ~= 'handed' or box.token ~= token then return {'stale', '', given_up} end
-- The broker brings a call again whose process was killed. What kills them all is poison, so this counts as a failure.
if box.begun == run then
  return {'again', fail_batch(mailbox, box, 'the process that handled it was killed', true, true) or '', given_up}
end
-- Its time begins now: how long it waited in its queue says nothing about it.
redis.call('HSET', at_box, 'begun', run, 'watched', '1')
redis.call('ZADD', mail_due, text(now + tonumber(box.lease_ms)), mailbox)
return {'ours', '', given_up}
