-- declare(supervisors, declared; supervisor, declaration) -> {declared}
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], text(now))
return {'declared'}
