"""The worker: the only owner of threads and processes."""
