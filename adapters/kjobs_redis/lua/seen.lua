-- Note that everything in the log is known by now.
call('HSET', state, 'seen_ms', now_ms())
return {changed()}
