-- ARGV: 1 the owner's token, 2 the version it knows. Nothing is done, or said, for anybody else.
local noted = call('HMGET', state, 'token', 'version', 'sizes')
if not noted[1] then
    return redis.error_reply('KJOBSGONE it is no longer there')
elseif noted[1] ~= ARGV[1] then
    return redis.error_reply('KJOBSFENCED a later assignment has taken it over')
elseif noted[2] ~= ARGV[2] then
    return redis.error_reply('KJOBSBACK it is at version ' .. noted[2] .. ' instead of ' .. ARGV[2])
elseif noted[3] ~= sizes() then
    return redis.error_reply('KJOBSTORN parts of it are gone')
end

-- Note that something was changed; returns what every such script begins its answer with.
local function changed()
    local version = string.format('%.0f', tonumber(ARGV[2]) + 1)
    call('HSET', state, 'version', version, 'sizes', sizes(), 'used_ms', now_ms())
    return version, call('HLEN', rows)
end

local function unchanged()
    return ARGV[2], call('HLEN', rows)
end
