-- Begin anew, for the owner with the token ARGV[1]. The rest of ARGV is what to note.
-- Answers its version.
local token, epoch, version = unpack(call('HMGET', state, 'token', 'epoch', 'version'))
if token ~= ARGV[1] then
    return redis.error_reply('KJOBSFENCED a later assignment has taken it over')
end
version = string.format('%.0f', tonumber(version) + 1)
call('UNLINK', unpack(KEYS))
call('HSET', state, 'token', token, 'epoch', epoch, 'version', version, 'sizes', sizes(), 'seen_ms', now_ms(),
    'used_ms', now_ms(), unpack(ARGV, 2))
return version
