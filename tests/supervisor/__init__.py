"""Tests of the supervisor: what it decides, and real processes under it."""
