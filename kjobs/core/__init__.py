"""The pure core: what may run, what waits, what is committed. No clock, no chance, no threads, no I/O."""
