-- Questions that change nothing. ARGV: 3 which, 4 and 5 its arguments.
local which, about = ARGV[3], ARGV[4]
if which == 'call' then -- the row of an id, and whether it is taken
    local offset = call('ZSCORE', ids, about)
    if not offset then
        return {}
    end
    offset = name(offset)
    return {call('HGET', rows, offset), call('SISMEMBER', taken, offset)}
elseif which == 'next' then -- when the first of a kind is to be told
    local due = call('ZRANGE', wakes[tonumber(about)], 0, 0, 'WITHSCORES')[2]
    return {due and string.format('%.0f', tonumber(due))}
elseif which == 'sources' then -- places in the queue, and offsets: from one on, the most
    return call('ZRANGEBYLEX', queued, about, '+', 'LIMIT', 0, ARGV[5])
elseif which == 'turn' then -- the highest, and an offset
    return call('ZREVRANGE', turns, 0, 0)
elseif which == 'lowest' then -- offset
    local lowest = call('ZRANGE', ids, 0, 0, 'WITHSCORES')[2]
    return {lowest and string.format('%.0f', tonumber(lowest))}
end
return redis.error_reply('KJOBSTORN nobody knows the question ' .. which)
