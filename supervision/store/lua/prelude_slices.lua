-- prelude_slices: how much of a release, of deadlines or of a death one script takes on; stands before prelude_leaves

-- To end a wait costs some 10 µs for each of its leaves, and they are 1 to 100: not the waits are counted, but these.
local MOST_LEAVES, leaves_taken = 200, 0
-- And each MB of messages and payloads that a script hands over costs some 5 ms.
local MOST_BYTES, bytes_taken = 500000, 0
local function slice_is_full() return leaves_taken >= MOST_LEAVES or bytes_taken >= MOST_BYTES end
local function took_bytes(number) bytes_taken = bytes_taken + number end
local function took(terms) leaves_taken = leaves_taken + math.max(#terms.leaves, 1) end

-- A wait without what may have megabytes and decides nothing: its message and the payloads that it has come to know.
-- Their size is counted, as who ends the wait hands them over.
local NO_PAYLOAD = 16 -- bytes; how a leaf was lost takes fewer
local function brief(id)
  local at_wait, names, wait = key('wait', id), {}, {}
  for _, name in ipairs(redis.call('HKEYS', at_wait)) do
    local bulky = name == 'mail' or name == 'value'
    local size = (bulky or string.sub(name, 1, 5) == 'leaf:') and redis.call('HSTRLEN', at_wait, name) or 0
    took_bytes(size)
    if bulky or size > NO_PAYLOAD then wait[name] = '+' else names[#names + 1] = name end
  end
  local values = names[1] and redis.call('HMGET', at_wait, unpack(names)) or {}
  for i, name in ipairs(names) do wait[name] = values[i] end
  return wait
end
