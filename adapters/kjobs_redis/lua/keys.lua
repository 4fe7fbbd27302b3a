-- The keys of one partition, and what is done with a row by more than one script.
--
-- state   HASH  what the index says of itself
-- rows    HASH  calls, by the offset of their record (8 bytes, big end first)
-- ids     ZSET  their ids, by offset
-- lanes   ZSET  calls in the order of a key that nobody has taken, all with score 0:
--               length of the key (4 bytes), key, place (8 bytes), turn (8 bytes), offset
-- queued  ZSET  of calls that came from the queue, place and offset, all with score 0
-- turns   ZSET  of other calls with a rank, turn and offset, all with score 0
-- taken   SET   offsets of calls that are in somebody's hands
-- free, dated, ranked: ZSETs, offsets of calls of a kind by the time to tell of them
local state, rows, ids, lanes, queued = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local turns, taken = KEYS[6], KEYS[7]
local wakes = {[0] = KEYS[8], [1] = KEYS[9], [2] = KEYS[10]}

local RANKED = 2
-- The turn of calls from the queue, 2^53, as it is in a lane.
local QUEUED = '\128\032\000\000\000\000\000\000'

local call = redis.call

-- How large every key should be: what vanishes by itself, evicted or deleted by hand, is noticed.
local function sizes()
    return table.concat({
        call('HLEN', rows), call('ZCARD', ids), call('ZCARD', lanes), call('ZCARD', queued),
        call('ZCARD', turns), call('SCARD', taken), call('ZCARD', wakes[0]), call('ZCARD', wakes[1]),
        call('ZCARD', wakes[2]),
    }, ' ')
end

local function now_ms()
    local time = call('TIME')
    return string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
end

local function name(offset)
    return struct.pack('>I8', tonumber(offset))
end

-- Of a row: its kind, when it is due, how far the queue must have been read; if it has a rank, what is its member
-- in lanes if it has a lane; and the offset of the record that it goes on from.
local function head(row)
    local kind, due, needs, of, length, at = struct.unpack('>BdddI4', row)
    return kind, due, needs, string.sub(row, at, at + length - 1), of
end

-- Call with parts of a list that are short enough for one command.
local function in_parts(list, act)
    for first = 1, #list, 1000 do
        act(unpack(list, first, math.min(first + 999, #list)))
    end
end

local function index_of_rank(member)
    local turn = string.sub(member, -16, -9)
    if turn == QUEUED then
        return queued, string.sub(member, -24, -17) .. string.sub(member, -8)
    end
    return turns, turn .. string.sub(member, -8)
end

-- Give back a call, if it is taken.
local function put_back(offset)
    if call('SREM', taken, offset) == 0 then
        return
    end
    local kind, due, _, member = head(call('HGET', rows, offset))
    if kind == RANKED then
        call('ZADD', lanes, 0, member)
    else
        call('ZADD', wakes[kind], due, offset)
    end
end
