"""The store in Redis, on real servers."""
