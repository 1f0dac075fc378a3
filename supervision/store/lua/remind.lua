-- remind(outbox, entries, events, counters; most) -> {how many, entry...}: of mailboxes whose batch's time, or pause, is over
-- with waits
local found = redis.call('ZRANGEBYSCORE', mail_due, '-inf', text(now), 'LIMIT', 0, ARGV[1])
local answer = {#found}

local function called_again(mailbox, box)
  local at_box = key('mailbox', mailbox)
  redis.call('ZADD', mail_due, text(now + math.min(300000, 5000 * 2 ^ math.min(tonumber(box.sent), 10))), mailbox)
  redis.call('HINCRBY', at_box, 'sent', 1)
  local call = redis.call('HINCRBY', at_box, 'calls', 1)
  return enqueue(outbox, entries, 'mail:' .. mailbox .. ':' .. call, 'mail', mailbox)
end

for _, mailbox in ipairs(found) do
  local box, entry = hash(key('mailbox', mailbox)), nil
  if box.state == 'handed' then
    entry = time_over(mailbox, box)
  elseif box.state == 'called' then
    entry = called_again(mailbox, box)
  else
    rest(mailbox)
    entry = call_handler(mailbox)
  end
  if entry then answer[#answer + 1] = entry end
end
return answer
