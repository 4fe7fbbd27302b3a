"""A simulated world around the real scheduler: a broker, a group, workers that crash and freeze.

Time is virtual and everything random comes from one seed, so a world is the same each time. Nothing of
the scheduler is replaced; what performs its commands is simulated.
"""
