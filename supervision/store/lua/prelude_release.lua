-- prelude_release: those who wait for a signal are released in slices; stands after prelude_leaves

-- Releases some of those who waited before the signal's time was over. Answers {id, message...} of those to go on with.
local function release_some(name, most)
  local found, answer = redis.call('HMGET', key('signal', name), 'until', 'id', 'payload'), {}
  local before = found[1] or '-inf'
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', key('waiters', name), '-inf', before, 'LIMIT', 0, most)) do
    if slice_is_full() then break end
    local _, waiter = parsed(each)
    local id, mail = contained('wait', waiter or each, arrived, each, name, found[3])
    redis.call('ZREM', key('waiters', name), each)
    if mail then
      answer[#answer + 1] = id
      answer[#answer + 1] = mail
    end
  end
  local left = redis.call('ZCOUNT', key('waiters', name), '-inf', before)
  if left == 0 then redis.call('ZREM', key('releasing'), name) end
  return answer, left
end
