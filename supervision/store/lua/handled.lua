-- handled(outbox, entries, events, counters; mailbox, token, claimer, id...) -> {how many are handled by now, token, handler, at_once, id, letter, attempt...}; no id: the whole batch
-- with mail
local mailbox, token, claimer = ARGV[1], ARGV[2], ARGV[3]
local at_box, remembered = key('mailbox', mailbox), key('handled', mailbox)
local box = hash(at_box)
-- As in `take`: what it said was heard, and it is killed before it could go on.
if box.state == 'handed' and claimer ~= '' and box.claimer == claimer then
  return {0, unpack(told_batch(mailbox, box, cjson.decode(box.ids)))}
end
-- Of what it says: that may have been heard before.
local function known()
  local found = 0
  for i = 4, #ARGV do if redis.call('ZSCORE', remembered, ARGV[i]) then found = found + 1 end end
  return found
end
if box.state ~= 'handed' or box.token ~= token then return {known()} end

local said, left, done = {}, {}, 0
for i = 4, #ARGV do said[ARGV[i]] = true end
for _, id in ipairs(cjson.decode(box.ids)) do
  if #ARGV > 3 and not said[id] then left[#left + 1] = id
  else
    done = done + 1
    take_out(mailbox, id)
    redis.call('ZADD', remembered, text(now), id)
  end
end
redis.call('ZREMRANGEBYRANK', remembered, 0, -1 - MOST_REMEMBERED)
if done == 0 then return {known()} end

local pace = (now - tonumber(box.handed)) / done
count_mail('handled', done)
redis.call('HINCRBY', at_box, 'done', done)
redis.call('HSET', at_box, 'pace', text(box.pace and 0.8 * tonumber(box.pace) + 0.2 * pace or pace), 'touched', text(now))
if #left > 0 then
  redis.call('HSET', at_box, 'ids', cjson.encode(left))
  return {known()}
end
rest(mailbox)
if claimer == '' or not box.handler then
  call_handler(mailbox) -- one may have been arranged meanwhile
  return {#ARGV > 3 and known() or done}
end
return {done, unpack(hand_over(mailbox, box, tonumber(box.at_once), tonumber(box.timeout_ms), claimer))}
