"""The tests of kjobs."""
