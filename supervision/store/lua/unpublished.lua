-- unpublished(outbox, entries; older_than_ms, most, skipped) -> {id, entry or '' when there is none...}
local answer = {}

local function add(from, to)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], from, to, 'LIMIT', ARGV[3], ARGV[2])) do
    answer[#answer + 1] = id
    answer[#answer + 1] = redis.call('HGET', KEYS[2], id) or ''
  end
end

add('-inf', text(now - tonumber(ARGV[1])))
-- What was written later than now is from before the clock was set back: nobody else will send it.
add('(' .. text(now + 1000), '+inf')
return answer
