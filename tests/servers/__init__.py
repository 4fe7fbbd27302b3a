"""Servers for tests and benchmarks: a real Kafka, found or started with nothing but Python's own library."""
