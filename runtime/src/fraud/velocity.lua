-- Counts a purchase for its user, and says how many there were within a minute, an hour and a day.
-- One sorted set per user, purchases by time: one that is checked again is in it already and counts once.
-- KEYS[1] the set; ARGV[1] the purchase; ARGV[2] the most that is kept of one user.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local day_ms = 86400000
redis.call('ZADD', KEYS[1], 'NX', now_ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now_ms - day_ms))
local kept = redis.call('ZCARD', KEYS[1])
local most = tonumber(ARGV[2])
if kept > most then
    redis.call('ZREMRANGEBYRANK', KEYS[1], 0, kept - most - 1)
end
redis.call('PEXPIRE', KEYS[1], day_ms)
return {
    redis.call('ZCOUNT', KEYS[1], now_ms - 60000, '+inf'),
    redis.call('ZCOUNT', KEYS[1], now_ms - 3600000, '+inf'),
    redis.call('ZCARD', KEYS[1]),
}
