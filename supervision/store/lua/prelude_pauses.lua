-- prelude_pauses: nobody ticked or looked for long, or the clock was set; whoever comes first after it notes that it is over

-- What the circuit waits for is still to be waited for from now on, so that a jump neither brings a restart early nor keeps
-- one away. While either ticks or looks come there is no pause: late ticks decide on what was seen meanwhile.
-- Answers now when a pause ends here, else nothing.
local function resume(control, interval)
  local marks, since = redis.call('HMGET', control, 'claimed', 'looked'), nil
  for _, mark in ipairs(marks) do
    local ago = tonumber(mark) and now - tonumber(mark)
    if ago and (since == nil or math.abs(ago) < math.abs(since)) then since = ago end
  end
  if since == nil or math.abs(since) <= math.max(3 * interval, 5000) then return nil end
  local circuit = redis.call('HGET', control, 'circuit')
  if circuit then
    for _, wait in ipairs({'next_attempt_at', 'closed_at'}) do
      circuit = string.gsub(circuit, '("' .. wait .. '":)(%d+)', function(name, at)
        return name .. text(tonumber(at) + since)
      end)
    end
    redis.call('HSET', control, 'circuit', circuit)
  end
  redis.call('HSET', control, 'resumed', text(now))
  return now
end
