-- overdue(due; most) -> {action id...} that a sweep must look at now
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[1])
