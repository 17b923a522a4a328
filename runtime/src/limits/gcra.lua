-- Takes up to so many requests' worth. The time is that of Redis: gateways need no common clock.
-- KEYS[1] when all will have come back, in microseconds; ARGV: microseconds per request, burst, how many are wanted.
-- Returns how many were given, how many more there is room for, microseconds until there is room for one, and for all.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local restored = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
restored = math.min(restored, now + burst * interval)
local room = math.floor((now + burst * interval - restored) / interval + 0.000001)
local given = math.min(wanted, room)
if given > 0 then
    restored = restored + given * interval
    redis.call('SET', KEYS[1], string.format('%.3f', restored), 'PX', math.ceil((restored - now) / 1000) + 1)
end
local wait = math.max(0, restored + interval - now - burst * interval)
return { given, room - given, math.ceil(wait), math.ceil(restored - now) }
