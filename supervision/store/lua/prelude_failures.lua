-- prelude_failures: what becomes of a batch that was not handled; stands after prelude_batches
local MOST_ATTEMPTS = 5
local given_up = {} -- mailbox, id, why of each message that this script makes a dead letter

local function give_up(mailbox, id, tries, why)
  local letter = redis.call('HGET', key('letters', mailbox), id)
  redis.call('HSET', key('dead', mailbox), id, cjson.encode({letter, why, at, text(tries)}))
  redis.call('ZADD', key('dead_letters'), at, 'mail:' .. mailbox .. '#' .. id)
  take_out(mailbox, id)
  count_mail('dead')
  count(counters, 'supervision_dead_letters_total|of=mail')
  mailbox_event(mailbox, 'handed', 'dead_letter', id .. ': ' .. why)
  for _, text_ in ipairs({mailbox, id, why}) do given_up[#given_up + 1] = text_ end
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
