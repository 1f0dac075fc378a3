-- prelude_slices: how much of a release, of deadlines or of a death one script takes on; stands before prelude_leaves

-- To end a wait costs some 10 µs for each of its leaves, and they are 1 to 100: not the waits are counted, but these.
local MOST_LEAVES, leaves_taken = 200, 0
local function slice_is_full() return leaves_taken >= MOST_LEAVES end
local function took(terms) leaves_taken = leaves_taken + math.max(#terms.leaves, 1) end
