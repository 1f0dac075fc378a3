-- clear_mail(outbox, entries, events, counters; most, ids, keep_ms, keep_dead_ms, keep_handler_ms) -> {looked at, ids forgotten, mailbox forgotten...}
-- with mail
local most_ids, keep, keep_dead, keep_handler = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local due = redis.call('ZRANGEBYSCORE', key('mailboxes'), '-inf', text(now), 'LIMIT', 0, ARGV[1])
local answer = {#due, 0}

-- Answers whether there may be more than one script forgets.
local function old_ids(mailbox)
  local left = most_ids - answer[2]
  local old = redis.call('ZRANGEBYSCORE', key('handled', mailbox), '-inf', text(now - keep), 'LIMIT', 0, left)
  if #old > 0 then redis.call('ZREM', key('handled', mailbox), unpack(old)) end
  answer[2] = answer[2] + #old
  return #old == left
end

-- Dead letters of waits are gone before they are that old.
for _, member_ in ipairs(redis.call('ZRANGEBYSCORE', key('dead_letters'), '-inf', text(now - keep_dead), 'LIMIT', 0, ARGV[1])) do
  local mailbox, id = string.match(member_, '^mail:([^#]*)#(.*)$')
  if mailbox then
    redis.call('HDEL', key('dead', mailbox), id)
    redis.call('ZREM', key('dead_letters'), member_)
    mailbox_event(mailbox, 'dead_letter', 'discarded', id .. ': nobody wanted it for long', 'sweep')
  end
end

local function empty(mailbox)
  return redis.call('EXISTS', key('mail', mailbox), key('handled', mailbox), key('dead', mailbox)) == 0
end

for _, mailbox in ipairs(due) do
  if answer[2] == most_ids then break end -- the others are still due, for the next slice
  local more = old_ids(mailbox)
  local box = hash(key('mailbox', mailbox))
  local idle = now - tonumber(box.touched or 0)
  if empty(mailbox) and idle >= (box.handler and keep_handler or keep) then
    redis.call('DEL', key('mailbox', mailbox), key('letters', mailbox), key('tries', mailbox))
    redis.call('ZREM', key('mailboxes'), mailbox)
    redis.call('ZREM', mail_due, mailbox)
    answer[#answer + 1] = mailbox
  elseif not more then
    redis.call('ZADD', key('mailboxes'), text(now + keep / 24), mailbox)
  end
end
return answer
