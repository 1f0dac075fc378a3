-- prelude_batches: how messages are handed over, one batch at a time; stands after prelude_mail
local MOST_REMEMBERED, MOST_BYTES = 100000, 1048576

-- A batch as whoever handles it gets it: {token, handler, at_once, id, letter, attempt...}
local function told_batch(mailbox, box, ids)
  local letters = redis.call('HMGET', key('letters', mailbox), unpack(ids))
  local tries = redis.call('HMGET', key('tries', mailbox), unpack(ids))
  local answer = {box.token, box.handler or '', box.at_once or '1'}
  for i, id in ipairs(ids) do
    answer[#answer + 1] = id
    answer[#answer + 1] = letters[i]
    answer[#answer + 1] = tries[i]
  end
  return answer
end

-- Those at the head, where all are that were tried before. One of these comes alone: poison takes no other one with it.
local function head(mailbox, most)
  local ids = redis.call('ZRANGE', key('mail', mailbox), 0, most - 1)
  if ids[1] and redis.call('HEXISTS', key('tries', mailbox), ids[1]) == 1 then return {ids[1]} end
  local some, bytes = {}, 0
  for i, id in ipairs(ids) do
    bytes = bytes + redis.call('HSTRLEN', key('letters', mailbox), id)
    if i > 1 and bytes > MOST_BYTES then return some end
    some[i] = id
  end
  return some
end

local function hand_over(mailbox, box, most, lease_ms, claimer)
  local ids = head(mailbox, most)
  if #ids == 0 then return {} end
  for _, id in ipairs(ids) do
    if redis.call('HINCRBY', key('tries', mailbox), id, 1) > 1 then count_mail('redelivered') end
  end
  box.token = text(grown(box.token))
  redis.call('HSET', key('mailbox', mailbox), 'state', 'handed', 'token', box.token, 'ids', cjson.encode(ids), 'claimer',
    claimer, 'handed', text(now), 'lease_ms', text(lease_ms))
  redis.call('ZADD', mail_due, text(now + lease_ms), mailbox)
  return told_batch(mailbox, box, ids)
end

local function rest(mailbox)
  redis.call('HDEL', key('mailbox', mailbox), 'state', 'ids', 'claimer', 'sent')
  redis.call('ZREM', mail_due, mailbox)
end

local function take_out(mailbox, id)
  redis.call('ZREM', key('mail', mailbox), id)
  redis.call('HDEL', key('letters', mailbox), id)
  redis.call('HDEL', key('tries', mailbox), id)
end
