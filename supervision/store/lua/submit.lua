-- submit(outbox, entries, events, counters; key, message, task, sender, keep_ms, task_id, asked) -> {submitted, entry} | {same} | {other, task, sender, at}
-- with waits
-- The same again sends nothing: its first sender may be about to, and when it died the sweep of the outbox does.
-- `asked` tells two requests apart: the message of each has an id of its own, and the first one's is the one that counts.
local name, message, at_submitted, asked = ARGV[1], ARGV[2], key('submitted', ARGV[1]), ARGV[7]
local known = hash(at_submitted)
if known.message and known.asked ~= asked then return {'other', known.task, known.sender, known.at} end
if known.message then return {'same'} end
redis.call('HSET', at_submitted, 'message', message, 'asked', asked, 'task', ARGV[3], 'sender', ARGV[4], 'at', text(now))
redis.call('PEXPIRE', at_submitted, ARGV[5])
count(counters, 'supervision_tasks_submitted_total')
event(events, 0, {'kind', 'task', 'subject', name, 'before', '', 'after', 'submitted', 'reason', ARGV[3], 'attempt', '0',
  'actor', ARGV[4]})
return {'submitted', enqueue(outbox, entries, 'task:' .. ARGV[6], 'task', message)}
