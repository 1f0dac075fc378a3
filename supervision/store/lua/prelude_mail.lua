-- prelude_mail: how a message comes into a mailbox, and its handler is sent for; stands after prelude_waits
local mail_due = key('mail_due')
local BOUND = 1000 -- messages, where nobody said otherwise
local DAY = 86400000

local function count_mail(outcome, by) count(counters, 'supervision_mailbox_messages_total|outcome=' .. outcome, by) end

local function mailbox_event(mailbox, before, after, why, actor)
  event(events, 0, {'kind', 'mailbox', 'subject', mailbox, 'before', before, 'after', after, 'reason', why, 'attempt', '0',
    'actor', actor or ''})
end

-- Sends for the handler, if there is one, and something for it, and it is not at work. Answers the entry.
local function call_handler(mailbox)
  local at_box = key('mailbox', mailbox)
  local box = redis.call('HMGET', at_box, 'handler', 'state')
  if not box[1] or box[2] or redis.call('EXISTS', key('mail', mailbox)) == 0 then return nil end
  redis.call('HSET', at_box, 'state', 'called', 'sent', 1)
  redis.call('ZADD', mail_due, text(now + 5000), mailbox)
  local call = redis.call('HINCRBY', at_box, 'calls', 1)
  return enqueue(outbox, entries, 'mail:' .. mailbox .. ':' .. call, 'mail', mailbox)
end

-- When it may be worth to try again: when a batch has been handled at the present pace.
local function retry_after(box)
  local pace = tonumber(box.pace)
  return pace and math.min(math.max(pace * tonumber(box.at_once or 1), 100), 60000) or 1000
end

local function known_message(mailbox, id)
  local handled = tonumber(redis.call('ZSCORE', key('handled', mailbox), id))
  return redis.call('ZSCORE', key('mail', mailbox), id) or handled and handled > now - DAY
    or redis.call('HEXISTS', key('dead', mailbox), id) == 1
end

local function at_the_end(mailbox, id, letter)
  local at_box = key('mailbox', mailbox)
  local sequence = text(grown(redis.call('HGET', at_box, 'sequence')))
  redis.call('HSET', at_box, 'sequence', sequence, 'touched', text(now))
  redis.call('ZADD', key('mail', mailbox), sequence, id)
  redis.call('HSET', key('letters', mailbox), id, letter)
  redis.call('ZADD', key('mailboxes'), 'NX', text(now + DAY), mailbox)
  return call_handler(mailbox)
end

-- Answers put, same or full, and the entry that sends for the handler. `forced` is for what nobody would repeat.
local function put_mail(mailbox, id, payload, sender, forced)
  if known_message(mailbox, id) then return 'same' end
  local bound = tonumber(redis.call('HGET', key('mailbox', mailbox), 'bound')) or BOUND
  if not forced and redis.call('ZCARD', key('mail', mailbox)) >= bound then
    count_mail('refused')
    return 'full'
  end
  count_mail('put')
  return 'put', at_the_end(mailbox, id, cjson.encode({payload, sender, at}))
end
