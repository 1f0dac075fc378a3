-- take(outbox, entries, events, counters; mailbox, claimer, most, lease_ms) -> {given_up, token, handler, at_once, id, letter, attempt...} | {given_up} | {handled}; most 0: for the handler
-- with mail
local mailbox, claimer, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local box = hash(key('mailbox', mailbox))
if most > 0 and box.handler then return {'handled'} end
if most == 0 and not box.handler then return {given_up} end
-- A message that comes again after its process was killed goes on with what it had claimed.
if box.state == 'handed' and box.claimer == claimer then
  return {given_up, unpack(told_batch(mailbox, box, cjson.decode(box.ids)))}
end
-- No sweep has come by: where no workers are, those who take look after it themselves.
if box.state and box.state ~= 'called' then
  local due = tonumber(redis.call('ZSCORE', mail_due, mailbox))
  if due and due > now then return {given_up} end
  if box.state == 'handed' then time_over(mailbox, box) end
end
local lease = most > 0 and tonumber(ARGV[4]) or tonumber(box.timeout_ms)
return {given_up, unpack(hand_over(mailbox, box, most > 0 and most or tonumber(box.at_once), lease, claimer))}
