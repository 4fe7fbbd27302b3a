"""The shop of ``kjobs demo``: a few jobs, a web side that enqueues them, and a look at what came of it."""
