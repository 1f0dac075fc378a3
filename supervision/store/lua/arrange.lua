-- arrange(outbox, entries, events, counters; mailbox, bound, handler, at_once, timeout_ms) -> {entry or '', before, after, reason} where the handler is news, else {entry or ''}; '' changes nothing, handler '-' is none
-- with mail
local mailbox, bound, handler = ARGV[1], ARGV[2], ARGV[3]
local at_box = key('mailbox', mailbox)
local news = {}

local function changed(before, after, why)
  news = {before, after, why}
  mailbox_event(mailbox, before, after, why)
end

if bound ~= '' then redis.call('HSET', at_box, 'bound', bound) end
if handler == '-' then
  local there = redis.call('HDEL', at_box, 'handler') == 1
  redis.call('HDEL', at_box, 'at_once', 'timeout_ms', 'watched')
  if redis.call('HGET', at_box, 'state') == 'called' then rest(mailbox) end
  if there then changed('handler', 'no handler', 'from now on it is taken from') end
elseif handler ~= '' then
  local name = cjson.decode(handler).signature.task
  -- Each process of a deploy says it again, and only a change is news.
  if redis.call('HGET', at_box, 'handler') ~= handler then
    changed('', 'handler', name .. ', ' .. ARGV[4] .. ' at once')
    redis.call('HDEL', at_box, 'watched')
  end
  redis.call('HSET', at_box, 'handler', handler, 'at_once', ARGV[4], 'timeout_ms', ARGV[5])
end
redis.call('HSET', at_box, 'touched', text(now))
redis.call('ZADD', key('mailboxes'), 'NX', text(now + DAY), mailbox)
return {call_handler(mailbox) or '', unpack(news)}
