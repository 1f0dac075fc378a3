-- prelude_batches: how messages are handed over, one batch at a time, and what comes of it; stands after prelude_mail
local MOST_ATTEMPTS, MOST_REMEMBERED = 5, 100000

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
  return ids[1] and redis.call('HEXISTS', key('tries', mailbox), ids[1]) == 1 and {ids[1]} or ids
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

local function give_up(mailbox, id, tries, why)
  local letter = redis.call('HGET', key('letters', mailbox), id)
  redis.call('HSET', key('dead', mailbox), id, cjson.encode({letter, why, at, text(tries)}))
  redis.call('ZADD', key('dead_letters'), at, 'mail:' .. mailbox .. '#' .. id)
  take_out(mailbox, id)
  count_mail('dead')
  count(counters, 'supervision_dead_letters_total|of=mail')
  mailbox_event(mailbox, 'handed', 'dead_letter', id .. ': ' .. why)
end

-- A batch was not handled. Answers the entry that sends for the handler, where it goes on at once.
local function fail_batch(mailbox, box, why, counted, pausing)
  local most = 0
  for _, id in ipairs(cjson.decode(box.ids)) do
    local tries = redis.call('HINCRBY', key('tries', mailbox), id, counted and 0 or -1)
    if tries < 1 then redis.call('HDEL', key('tries', mailbox), id) end
    if tries >= MOST_ATTEMPTS and counted then give_up(mailbox, id, tries, why) else most = math.max(most, tries, 1) end
  end
  rest(mailbox)
  if most == 0 or not pausing then return call_handler(mailbox) end
  redis.call('HSET', key('mailbox', mailbox), 'state', 'paused')
  redis.call('ZADD', mail_due, text(now + math.min(60000, 1000 * 2 ^ (most - 1))), mailbox)
end

-- Its time is over. A call that never began costs no attempt, where workers say when one begins: its queue has none.
local function time_over(mailbox, box)
  local begun = string.match(box.begun or '', '^(%d+):') == box.token
  local why = 'no end within ' .. box.lease_ms .. ' ms; its process died or it takes longer'
  return fail_batch(mailbox, box, why, begun or not box.watched, false)
end
