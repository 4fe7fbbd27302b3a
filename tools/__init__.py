"""What the Makefile needs and is too long for it; Python's own library only."""
