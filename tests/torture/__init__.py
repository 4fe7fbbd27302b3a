"""kjobs-torture: real brokers, workers and callers, faults by a plan, and a judge; ``make torture``."""
