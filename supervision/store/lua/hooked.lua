-- hooked(outbox, entries, events, counters; expected, next, id, message, id, message...) -> {1, entry...} | {0} when another sweep was faster
-- with waits
local cursor = key('hooked')
if (redis.call('GET', cursor) or '') ~= ARGV[1] then return {0} end
redis.call('SET', cursor, ARGV[2])
local answer = {1}
for i = 3, #ARGV, 2 do answer[#answer + 1] = enqueue(outbox, entries, ARGV[i], 'hook', ARGV[i + 1]) end
return answer
