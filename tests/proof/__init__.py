"""The proof of kjobs: histories of runs, and the checker that judges them."""
