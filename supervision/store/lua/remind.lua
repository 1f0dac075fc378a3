-- remind(outbox, entries, events, counters; most) -> {how many, given_up, entry...}: of mailboxes whose batch's time, or pause, is over
-- with mail
local found = redis.call('ZRANGEBYSCORE', mail_due, '-inf', text(now), 'LIMIT', 0, ARGV[1])
local answer, messages = {0, given_up}, 0

local function called_again(mailbox, box)
  local at_box = key('mailbox', mailbox)
  redis.call('ZADD', mail_due, text(now + math.min(300000, 5000 * 2 ^ math.min(tonumber(box.sent), 10))), mailbox)
  redis.call('HINCRBY', at_box, 'sent', 1)
  local call = redis.call('HINCRBY', at_box, 'calls', 1)
  return enqueue(outbox, entries, 'mail:' .. mailbox .. ':' .. call, 'mail', mailbox)
end

for i, mailbox in ipairs(found) do
  local box, entry = hash(key('mailbox', mailbox)), nil
  messages = messages + redis.call('HLEN', key('tries', mailbox))
  if i > 1 and messages > 500 then return answer end -- the next run goes on here: each message takes some µs
  answer[1] = i
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
