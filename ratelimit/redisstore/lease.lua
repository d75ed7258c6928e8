-- Gives out the schedule of one limit: see ratelimit.Store.
-- The key is a hash. "end" is the mark up to which tokens have been given out, in
-- microseconds of the server's clock; each "o:" field is a process and when it ceases to
-- count as one. Numbers are doubles: all stay below 2^53.
local key = KEYS[1]
local owner = 'o:' .. ARGV[1]
local interval = tonumber(ARGV[2]) -- in ns: rounded to microseconds once a lease
local burst, want, least = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ahead, keep = tonumber(ARGV[6]), tonumber(ARGV[7])
local back, unused, within = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function micros(n) return math.ceil(n * interval / 1000) end

local finish, owners, latest = now, 0, now + keep
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
	local value = tonumber(fields[i + 1])
	if fields[i] == 'end' then
		finish = value
	elseif value < now or fields[i] == owner then
		redis.call('HDEL', key, fields[i])
	else
		owners = owners + 1
		latest = math.max(latest, math.min(value, now + keep + ahead))
	end
end
if keep > 0 then
	owners = owners + 1
	redis.call('HSET', key, owner, string.format('%.0f', now + keep))
end

-- What another clock or another limit has left behind blocks nobody for longer.
finish = math.min(math.max(finish, now), now + micros(burst + want) + ahead)
if unused > 0 and finish == back then
	finish = math.max(now, finish - math.floor(unused * interval / 1000))
end

local given, begin, again = 0, finish - now, 0
if want > 0 then
	local most = now + micros(burst) + within
	local room = math.floor(math.min((most - finish) * 1000 / interval, want))
	if room >= least then
		given = room
		finish = finish + micros(given)
	else
		again = finish + micros(least) - micros(burst) - now
	end
end

redis.call('HSET', key, 'end', string.format('%.0f', finish))
redis.call('PEXPIRE', key, math.ceil(math.max(finish - now, latest - now) / 1000) + 1)
return {given, begin, again, owners, finish}
