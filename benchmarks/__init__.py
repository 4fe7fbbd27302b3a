"""What kjobs can do, measured: ``make bench``, or ``python -m benchmarks --help``.

The words: a *row* is one question, a *measure* one number that answers a part of it, a *round* one pass
over all rows, a *figure* a measure or a ratio of two with what it has to be.
"""
