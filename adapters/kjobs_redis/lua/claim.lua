-- Take an index over. What was taken is given back.
--
-- ARGV: 1 the new owner's token, 2 what all tokens of its process begin with, 3 its epoch, 4 whether the same
-- assignment had it before, 5 for how many ms after its last sign a rival that came later keeps it.
-- Answers {'kept', the rival's epoch}, or {'yours', version, count, state}.
local token, epoch, used = unpack(call('HMGET', state, 'token', 'epoch', 'used_ms'))
local now = now_ms()
if token and ARGV[4] == '1' and string.sub(token, 1, #ARGV[2]) ~= ARGV[2] then
    -- Whoever is assigned a partition takes it. But one that it was taken from takes it back only from an
    -- earlier assignment, which made it anew after it had vanished, or from one that is no more.
    local quiet = tonumber(now) - tonumber(used)
    if tonumber(epoch) >= tonumber(ARGV[3]) and quiet < tonumber(ARGV[5]) then
        return {'kept', epoch}
    end
end

local whole = call('HGET', state, 'sizes') == sizes()
local version = string.format('%.0f', (tonumber(call('HGET', state, 'version') or 0)) + 1)
call('HSET', state, 'token', ARGV[1], 'epoch', ARGV[3], 'version', version, 'used_ms', now)
if whole then
    for _, offset in ipairs(call('SMEMBERS', taken)) do
        put_back(offset)
    end
    call('HSET', state, 'sizes', sizes())
else
    call('HDEL', state, 'schema') -- which makes it one not to be trusted
end
return {'yours', version, call('HLEN', rows), call('HGETALL', state)}
