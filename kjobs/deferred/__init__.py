"""The deferred store: calls that wait for a time, in a compacted topic and an index of it."""
